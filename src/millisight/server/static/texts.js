// Every word of the page, in both languages, and how one is chosen.

const ENGLISH = {
  drop: "Drop pictures anywhere, paste one, or",
  choose: "Choose pictures",
  shoot: "Take a photo",
  limit: (mb) => `JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF, up to ${mb} MB each`,
  examples: "Example pictures",
  cat: "a cat", coffee: "a cup of coffee", camera: "a man with a camera", coat: "a coat",
  example: (what) => `Example: ${what}`,
  answer: "Answer",
  labels: "What it sees",
  uncertain: "The model is not sure of this. Have a person look.",
  unsure: "uncertain",
  show: "Show",
  whyHint: "Choose a label to see which parts of the picture speak for it.",
  why: (label) => `Bright: what speaks for “${label}”. The dashed frame is what the network sees.`,
  strength: "Strength",
  time: "Time",
  cached: "from the cache",
  answeredBy: "Answered by",
  decode: "decode", queue: "queue", network: "network", rest: "transfer and browser",
  history: "Earlier answers",
  batch: "Many pictures",
  progress: "Progress",
  table: "Table of answers",
  stop: "Stop",
  csv: "Download CSV",
  count: (done, all, failed) => `${done} of ${all}` + (failed ? `, ${failed} failed` : ""),
  file: "File", label: "Label", confidence: "Confidence", ms: "ms",
  stopped: "stopped",
  model: "The model",
  facts: {
    name: "Name", weights: "Weights", sha256: "SHA-256 of the weights", precision: "Precision", size: "Size",
    classes: "Classes", input: "Input", accuracy: "Accuracy", agreement: "Agreement", calibration: "Calibrated with", threshold: "Uncertain below", digest: "Digest",
  },
  accuracy: (one, other, images) => `top-1 ${one} % (float32 ${other} %) on ${images} pictures`,
  unmeasured: "not measured with labelled pictures",
  agreement: (percent, images) => `same first answer as float32 on ${percent} % of ${images} pictures`,
  search: "Search the classes",
  found: (number) => `${number} classes`,
  classes: "Classes",
  report: "Report on its accuracy",
  code: "Use it from code",
  copy: "Copy",
  copied: "Copied",
  private: "Pictures stay on this machine and are not kept.",
  docs: "API documentation",
  themes: { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" },
  pictureOf: (name) => `The picture ${name}`,
  said: (label, percent, ms) => `${label}, ${percent}, in ${ms} milliseconds`,
  looking: "Looking …",
  unshown: "Your browser cannot show this format.",
  again: "Try again",
  key: "API key",
  unauthorized: "This server answers only those who have a key.",
  unreadable: "The file cannot be read. Is it still there?",
  noPictures: "There are no files in what was dropped.",
  // Of other errors the server's own words, which are English.
  other: (words) => words,
  gone: "The server does not answer. Is it still running?",
  upload_too_large: (mb) => `The picture is larger than ${mb} MB. Send a smaller one.`,
  busy: (seconds) => `The server is busy. Trying again in ${seconds} s …`,
  bad_image: "The picture is damaged and cannot be read.",
  bad_request: "The picture is empty.",
  internal: "Something went wrong inside the server. Its log says what.",
  warnings: {
    exif_rotated: "turned upright as its EXIF data say",
    alpha_on_white: "transparent parts shown on white",
    "16bit_scaled": "16-bit grey scaled to 8 bits",
    "32bit_stretched": "32-bit grey stretched to 8 bits",
    cmyk_converted: "converted from CMYK",
  },
  frames: (number) => `only the first of ${number} frames`,
};

const CHINESE = {
  drop: "将图片拖到页面上、粘贴，或者",
  choose: "选择图片",
  shoot: "拍照",
  limit: (mb) => `支持 JPEG、PNG、WebP、GIF、BMP、TIFF、AVIF，每张不超过 ${mb} MB`,
  examples: "示例图片",
  cat: "一只猫", coffee: "一杯咖啡", camera: "拿相机的人", coat: "一件大衣",
  example: (what) => `示例：${what}`,
  answer: "结果",
  labels: "识别结果",
  uncertain: "模型对此没有把握，请人工确认。",
  unsure: "不确定",
  show: "显示数量",
  whyHint: "点击某个类别，查看图中哪些部分支持它。",
  why: (label) => `明亮处支持“${label}”，虚线框内是网络看到的部分。`,
  strength: "强度",
  time: "用时",
  cached: "来自缓存",
  answeredBy: "使用模型",
  decode: "解码", queue: "排队", network: "推理", rest: "传输与浏览器",
  history: "历史结果",
  batch: "批量识别",
  progress: "进度",
  table: "结果表",
  stop: "停止",
  csv: "下载 CSV",
  count: (done, all, failed) => `已完成 ${done}/${all}` + (failed ? `，失败 ${failed}` : ""),
  file: "文件", label: "类别", confidence: "置信度", ms: "毫秒",
  stopped: "已停止",
  model: "模型信息",
  facts: {
    name: "名称", weights: "权重来源", sha256: "权重的 SHA-256", precision: "精度", size: "大小",
    classes: "类别数", input: "输入尺寸", accuracy: "准确率", agreement: "一致性", calibration: "校准数据", threshold: "不确定阈值", digest: "摘要",
  },
  accuracy: (one, other, images) => `在 ${images} 张图片上 top-1 为 ${one} %（float32 为 ${other} %）`,
  unmeasured: "未用带标签的图片测量",
  agreement: (percent, images) => `在 ${images} 张图片上，${percent} % 的首选与 float32 相同`,
  search: "搜索类别",
  found: (number) => `${number} 个类别`,
  classes: "类别",
  report: "准确率报告",
  code: "在代码中使用",
  copy: "复制",
  copied: "已复制",
  private: "图片只在这台机器上处理，不会保存。",
  docs: "API 文档",
  themes: { auto: "主题：自动", light: "主题：浅色", dark: "主题：深色" },
  pictureOf: (name) => `图片 ${name}`,
  said: (label, percent, ms) => `${label}，${percent}，用时 ${ms} 毫秒`,
  looking: "正在查看…",
  unshown: "浏览器无法显示这种格式。",
  again: "重试",
  key: "API 密钥",
  unauthorized: "此服务器需要密钥才能使用。",
  unreadable: "无法读取文件，它还在吗？",
  noPictures: "拖放的内容中没有文件。",
  other: (words) => `服务器返回错误：${words}`,
  gone: "服务器没有响应，它还在运行吗？",
  upload_too_large: (mb) => `图片超过 ${mb} MB，请换一张小一些的。`,
  busy: (seconds) => `服务器繁忙，${seconds} 秒后重试…`,
  unsupported_format: "这不是受支持格式的图片。",
  bad_image: "图片已损坏，无法读取。",
  bad_request: "图片是空的。",
  internal: "服务器内部出错，详情见其日志。",
  not_explainable: "此模型无法说明原因。",
  image_too_large: "图片像素过多，请先缩小。",
  overloaded: "服务器繁忙，请稍后再试。",
  not_ready: "模型尚未就绪，请稍后再试。",
  deadline_exceeded: "处理超时，请重试。",
  warnings: {
    exif_rotated: "已按 EXIF 信息转正",
    alpha_on_white: "透明部分以白色为底",
    "16bit_scaled": "16 位灰度已缩放为 8 位",
    "32bit_stretched": "32 位灰度已拉伸为 8 位",
    cmyk_converted: "已由 CMYK 转换",
  },
  frames: (number) => `只识别了 ${number} 帧中的第一帧`,
};

const LANGUAGES = { en: ENGLISH, zh: CHINESE };

export function remember(key, value) {
  try {
    localStorage.setItem(`millisight.${key}`, value);
  } catch {
    // The browser forbids it: then the choice lasts as long as the page.
  }
}

function firstLanguage() {
  let chosen;
  try {
    chosen = localStorage.getItem("millisight.language");
  } catch {}
  if (Object.keys(LANGUAGES).includes(chosen)) return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export let language = firstLanguage();

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  remember("language", language);
}

/** The text for `key`, with `values` filled in, if there is one. */
export function text(key, ...values) {
  const entry = LANGUAGES[language][key];
  return typeof entry === "function" ? entry(...values) : entry;
}

/** A warning of the server in words. */
export function warningText(code) {
  const frames = /^first_of_(over_)?(\d+)_frames$/.exec(code);
  if (frames) return text("frames", (frames[1] ? "> " : "") + frames[2]);
  return text("warnings")[code] ?? code;
}

export const percent = (value) => `${(100 * value).toFixed(1)} %`;
export const milliseconds = (value) => value.toFixed(1);

/** Put every fixed text of the page into the chosen language. */
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const node of document.querySelectorAll("[data-text]")) {
    node.textContent = text(node.dataset.text);
  }
  for (const node of document.querySelectorAll("[data-label]")) {
    node.ariaLabel = text(node.dataset.label);
  }
}
