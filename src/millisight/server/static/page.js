// The page: how pictures come in, and who is told.

import { forget, showAnswer, showWaiting, shown, startAnswer, translateAnswer } from "./answer.js";
import { classifyMany, startBatch, translateBatch } from "./batch.js";
import { element, make, reveal, save } from "./dom.js";
import { renderCode, renderModel, startPanels } from "./panels.js";
import { Failure, fetchModel, fetchReport, key, model, predict, useKey } from "./server.js";
import { language, remember, switchLanguage, text, translate } from "./texts.js";

const EXAMPLES = ["cat", "coffee", "camera", "coat"];
const THEMES = ["auto", "light", "dark"];

let problem = null; // What is wrong now, whose it is, and what would be tried again.

function renderProblem() {
  element("error").hidden = !problem;
  element("reason").textContent = problem?.describe() ?? "";
  element("again").hidden = !problem?.retry;
  element("key-label").hidden = problem?.code !== "unauthorized";
}

function setProblem(next) {
  problem = next;
  renderProblem();
  if (problem) reveal("error");
}

function solved(owner) {
  if (problem?.owner === owner) setProblem(null);
}

/** Know the model before anything is asked of it; it may not have been there at first. */
async function needModel() {
  if (model) return;
  await fetchModel();
  translateAll();
}

async function classify(file) {
  const entry = showWaiting(file);
  setProblem(null);
  try {
    await needModel();
    const found = await predict(file, { onBusy: (describe) => setProblem({ describe, owner: entry }) });
    solved(entry);
    showAnswer(entry, found);
  } catch (error) {
    forget(entry);
    if (!(error instanceof Failure)) throw error;
    setProblem({ describe: () => `${file.name}: ${error.describe()}`, retry: () => classify(file), code: error.code });
  }
}

async function take(files) {
  if (files.length === 1) return classify(files[0]);
  if (!files.length) return;
  setProblem(null);
  try {
    await needModel();
  } catch (error) {
    setProblem({ ...error, retry: () => take(files) });
    return;
  }
  classifyMany(files);
  reveal("batch");
}

/** The files that were dropped, with those of folders, by their paths. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const files = (await Promise.all(entries.map(filesOf))).flat();
  // What file managers leave behind is no picture anybody meant.
  return files.filter(({ name }) => !/(^|\/)(\.[^/]*|Thumbs\.db|desktop\.ini)$/i.test(name));
}

async function filesOf(entry) {
  const ask = (object, method) => new Promise((resolve, reject) => object[method](resolve, reject));
  if (entry.isFile) {
    const file = await ask(entry, "file");
    return [new File([file], entry.fullPath.slice(1), { type: file.type })];
  }
  const reader = entry.createReader();
  const inside = [];
  // It gives a hundred at a time.
  for (let some; !some || some.length; inside.push(...some)) some = await ask(reader, "readEntries");
  return (await Promise.all(inside.map(filesOf))).flat();
}

async function drop(transfer) {
  const hasFiles = transfer.types.includes("Files");
  try {
    const files = await dropped(transfer);
    if (hasFiles && !files.length) setProblem({ describe: () => text("noPictures") });
    take(files);
  } catch {
    setProblem({ describe: () => text("unreadable") });
  }
}

const examples = EXAMPLES.map((name) => {
  const picture = make("img", "", { src: `/static/examples/${name}.avif` });
  const button = make("button", picture, { type: "button" });
  button.addEventListener("click", async () => {
    try {
      const blob = await (await fetch(picture.src)).blob();
      classify(new File([blob], `${name}.avif`, { type: blob.type }));
    } catch {
      setProblem({ describe: () => text("gone"), retry: () => button.click() });
    }
  });
  element("examples").append(button);
  return [name, picture];
});

function translateAll() {
  translate();
  element("language").textContent = language === "zh" ? "English" : "中文";
  element("language").lang = language === "zh" ? "en" : "zh";
  element("theme").textContent = text("themes")[document.documentElement.dataset.theme];
  element("limit").textContent = text("limit", model?.max_upload_mb ?? 10);
  for (const [name, picture] of examples) picture.alt = text("example", text(name));
  renderProblem();
  translateAnswer();
  translateBatch();
  renderCode();
  if (model) renderModel();
}

/** Do `work`; what goes wrong is said, and can be tried again. */
async function attempt(owner, work, retry = owner) {
  try {
    await work();
    solved(owner);
  } catch (error) {
    setProblem({ ...error, owner, retry });
  }
}

const begin = () => attempt(begin, needModel);

/** Have another model answer, also to the picture that is shown. */
async function choose(name) {
  await attempt(choose, () => fetchModel(name), () => choose(name));
  if (model.name === name && shown()) classify(shown());
  translateAll();
}

element("served").addEventListener("change", ({ target }) => choose(target.value));
element("report").addEventListener("click", function report(event) {
  if (!key) return;
  // A link shows none.
  event?.preventDefault();
  attempt(report, async () => save(await fetchReport(), "report.html"));
});
element("language").addEventListener("click", () => {
  switchLanguage();
  translateAll();
});
element("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  remember("theme", root.dataset.theme);
  translateAll();
});
element("retry").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!element("key-label").hidden) useKey(element("key").value);
  problem?.retry();
  // The button may be gone in a moment, and the focus with it.
  element("choose").focus({ preventScroll: true });
});
element("shoot").hidden = !navigator.maxTouchPoints;
for (const [button, input] of [["choose", "file"], ["shoot", "camera"]]) {
  element(button).addEventListener("click", () => element(input).click());
  element(input).addEventListener("change", ({ target }) => {
    take([...target.files]);
    target.value = "";
  });
}
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  drop(event.dataTransfer);
});
document.addEventListener("paste", (event) => {
  take([...(event.clipboardData?.files ?? [])]);
});

startAnswer();
startBatch();
startPanels();
translateAll();
begin();
