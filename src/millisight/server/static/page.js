// The page: one picture in, the top three classes and the time out.

const TEXTS = {
  en: {
    choose: "Choose a picture, or drop one here",
    limit: (megabytes) => `up to ${megabytes} MB`,
    model: "Answered by",
    private: "Pictures stay on this machine and are not kept.",
    docs: "API documentation",
    other: "中文",
    time: (network, total) => `${network} ms in the network, ${total} ms in all`,
    tooLarge: (megabytes) => `The picture is larger than ${megabytes} MB. Send a smaller one.`,
    gone: "The server does not answer. Is it still running?",
    picture: "The picture that was classified",
    notReady: "The model is not ready. Try again in a moment.",
    unsupported_format: "This is not a picture in a supported format (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF).",
    bad_image: "The picture is damaged and cannot be read.",
    image_too_large: "The picture has too many pixels. Scale it down.",
    overloaded: "The server is busy. Try again in a moment.",
    deadline_exceeded: "The answer took too long. Try again.",
  },
  zh: {
    choose: "选择一张图片，或拖放到这里",
    limit: (megabytes) => `不超过 ${megabytes} MB`,
    model: "当前模型：",
    private: "图片只在这台机器上处理，不会保存。",
    docs: "API 文档",
    other: "English",
    time: (network, total) => `网络推理 ${network} 毫秒，总计 ${total} 毫秒`,
    tooLarge: (megabytes) => `图片超过 ${megabytes} MB，请换一张小一些的。`,
    gone: "服务器没有响应，它还在运行吗？",
    picture: "被识别的图片",
    notReady: "模型尚未就绪，请稍后再试。",
    unsupported_format: "这不是受支持格式的图片（JPEG、PNG、WebP、GIF、BMP、TIFF、AVIF）。",
    bad_image: "图片已损坏，无法读取。",
    image_too_large: "图片像素过多，请先缩小。",
    overloaded: "服务器繁忙，请稍后再试。",
    deadline_exceeded: "处理超时，请重试。",
  },
};

const element = (id) => document.getElementById(id);
let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
let megabytes = 10;
let last = null; // What is shown now, so that it can be shown again in the other language.

function text(key, ...values) {
  const entry = TEXTS[language][key];
  return typeof entry === "function" ? entry(...values) : entry;
}

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const node of document.querySelectorAll("[data-text]")) {
    node.textContent = text(node.dataset.text);
  }
  element("language").textContent = text("other");
  element("language").lang = language === "zh" ? "en" : "zh";
  element("limit").textContent = text("limit", megabytes);
  element("picture").alt = text("picture");
  if (last) last();
}

function showError(describe) {
  last = () => {
    element("error").textContent = describe();
  };
  last();
  element("error").hidden = false;
  element("answer").hidden = true;
}

function showAnswer(answer) {
  last = () => {
    element("time").textContent = text(
      "time",
      answer.inference_time_ms.toFixed(1),
      answer.timings_ms.total.toFixed(1),
    );
  };
  element("predictions").replaceChildren(...answer.predictions.map(predictionRow));
  element("warnings").replaceChildren(
    ...answer.warnings.map((warning) => {
      const item = document.createElement("li");
      item.textContent = warning;
      return item;
    }),
  );
  last();
  element("error").hidden = true;
  element("answer").hidden = false;
}

function predictionRow({ label, confidence }) {
  const item = document.createElement("li");
  const line = document.createElement("div");
  const name = document.createElement("span");
  const percent = document.createElement("span");
  const bar = document.createElement("meter");
  name.textContent = label;
  percent.textContent = `${(100 * confidence).toFixed(1)} %`;
  bar.value = confidence;
  bar.ariaHidden = "true";
  line.append(name, percent);
  item.append(line, bar);
  return item;
}

async function classify(file) {
  if (file.size > megabytes * 1e6) {
    showError(() => text("tooLarge", megabytes));
    return;
  }
  const form = new FormData();
  form.append("file", file);
  let response;
  let body;
  try {
    response = await fetch("/predict", { method: "POST", body: form });
    body = await response.json();
  } catch {
    showError(() => text("gone"));
    return;
  }
  if (!response.ok) {
    const key = body.code === "not_ready" ? "notReady" : body.code;
    showError(() => text(key) ?? `${body.error} ${body.hint}`);
    return;
  }
  URL.revokeObjectURL(element("picture").src);
  element("picture").src = URL.createObjectURL(file);
  showAnswer(body);
}

async function describeModel() {
  const response = await fetch("/model");
  const model = await response.json();
  megabytes = model.max_upload_mb;
  element("model").textContent = model.description;
  translate();
}

element("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  translate();
});
element("file").addEventListener("change", (event) => {
  if (event.target.files.length) classify(event.target.files[0]);
  event.target.value = "";
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
document.addEventListener("dragleave", () => element("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  if (event.dataTransfer.files.length) classify(event.dataTransfer.files[0]);
});

translate();
describeModel();
