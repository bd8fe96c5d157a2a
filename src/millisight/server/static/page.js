// The page: how pictures come in, and who is told.

import { forget, make, showAnswer, showWaiting, startAnswer, translateAnswer } from "./answer.js";
import { classifyMany, startBatch, translateBatch } from "./batch.js";
import { renderCode, renderModel, startPanels } from "./panels.js";
import { fetchModel, model, predict, useKey } from "./server.js";
import { language, remember, switchLanguage, text, translate } from "./texts.js";

const EXAMPLES = ["cat", "coffee", "camera", "coat"];
const THEMES = ["auto", "light", "dark"];
const element = (id) => document.getElementById(id);

let problem = null; // What is wrong now, and what would be tried again.
let newest = 0;

function renderProblem() {
  element("error").hidden = !problem;
  element("reason").textContent = problem?.describe() ?? "";
  element("again").hidden = !problem?.retry;
  element("key-label").hidden = problem?.code !== "unauthorized";
}

function setProblem(describe, retry, code) {
  problem = describe && { describe, retry, code };
  renderProblem();
}

async function classify(file) {
  const number = (newest += 1);
  const entry = showWaiting(file);
  setProblem(null);
  try {
    const found = await predict(file, { onBusy: (describe) => number === newest && setProblem(describe) });
    if (number === newest) setProblem(null);
    showAnswer(entry, found);
  } catch (error) {
    forget(entry);
    setProblem(() => `${file.name}: ${error.describe()}`, () => classify(file), error.code);
  }
}

function take(files) {
  if (files.length === 1) classify(files[0]);
  if (files.length > 1) classifyMany(files);
}

/** The files that were dropped, with those of folders. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...transfer.files];
  return entries.some((entry) => entry.isDirectory) ? (await Promise.all(entries.map(filesOf))).flat() : files;
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const inside = [];
  // It gives a hundred at a time.
  for (let some; !some || some.length; inside.push(...some)) {
    some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  }
  return (await Promise.all(inside.map(filesOf))).flat();
}

function renderExamples() {
  element("examples").replaceChildren(...EXAMPLES.map((name) => {
    const address = `/static/examples/${name}.avif`;
    const picture = make("img", "", { src: address, alt: text("example", text(name)) });
    const button = make("button", picture, { type: "button" });
    button.addEventListener("click", async () => {
      try {
        classify(new File([await (await fetch(address)).blob()], `${name}.avif`));
      } catch {
        setProblem(() => text("gone"), () => button.click());
      }
    });
    return button;
  }));
}

function translateAll() {
  translate();
  element("language").textContent = language === "zh" ? "English" : "中文";
  element("language").lang = language === "zh" ? "en" : "zh";
  element("theme").textContent = text("themes")[document.documentElement.dataset.theme];
  element("limit").textContent = text("limit", model?.max_upload_mb ?? 10);
  renderExamples();
  renderProblem();
  translateAnswer();
  translateBatch();
  renderCode();
  if (model) renderModel();
}

async function begin() {
  try {
    await fetchModel();
    setProblem(null);
  } catch (error) {
    setProblem(error.describe, begin, error.code);
  }
  translateAll();
}

element("language").addEventListener("click", () => {
  switchLanguage();
  translateAll();
});
element("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  remember("theme", root.dataset.theme);
  element("theme").textContent = text("themes")[root.dataset.theme];
});
element("retry").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(element("key").value);
  problem?.retry();
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
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take(await dropped(event.dataTransfer));
});
document.addEventListener("paste", (event) => {
  take([...event.clipboardData.files]);
});

startAnswer();
startBatch();
startPanels();
translateAll();
begin();
