// The answer to one picture: labels, times, what speaks for a label, and the strip of earlier ones.

import { drawHeat } from "./heat.js";
import { explain, model } from "./server.js";
import { language, milliseconds, percent, text, warningText } from "./texts.js";

const KEPT = 20;
const PARTS = ["decode", "queue", "network", "rest"];
const element = (id) => document.getElementById(id);

let current = null; // What is shown: { file, url, answer, seen, maps, chosen }.
let kept = [];

/** A new element with text and properties. */
export function make(tag, content = "", properties = {}) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...[content].flat());
  return node;
}

/** The name of a class: in the page's language, the English one beside it. */
export function className({ index, label }) {
  const own = model?.translations[language]?.[index];
  return own ? [`${own} `, make("small", label, { lang: "en" })] : [label];
}

const plainName = (one) => model?.translations[language]?.[one.index] ?? one.label;

/** Show the picture at once; its answer follows. */
export function showWaiting(file) {
  current = { file, url: URL.createObjectURL(file) };
  element("answer").classList.add("waiting");
  showPicture();
  return current;
}

/** Show `entry` if it is still the newest, and keep it in the strip. */
export function showAnswer(entry, { answer, seen }) {
  Object.assign(entry, { answer, seen });
  keep(entry);
  renderHistory();
  if (entry !== current) return;
  render();
  const best = answer.predictions[0];
  element("status").textContent = text("said", plainName(best), percent(best.confidence), milliseconds(seen));
}

/** Nothing came of `entry`: what was shown before comes back. */
export function forget(entry) {
  if (entry === current) {
    current = kept[0] ?? null;
    element("answer").hidden = !current;
    if (current) render();
  }
  URL.revokeObjectURL(entry.url);
}

/** Show an answer that was given before. */
export function showAgain(entry) {
  entry.url ??= URL.createObjectURL(entry.file);
  current = entry;
  if (!kept.includes(entry)) keep(entry);
  render();
  renderHistory();
  element("answer").scrollIntoView({ block: "nearest" });
}

function keep(entry) {
  kept.unshift(entry);
  for (const old of kept.splice(KEPT)) {
    URL.revokeObjectURL(old.url);
    old.url = undefined;
  }
}

/** Write everything again, in the language and number of the moment. */
export function render() {
  if (!current) return;
  showPicture();
  if (!current.answer) return;
  const { answer, seen } = current;
  element("answer").classList.remove("waiting");
  element("predictions").replaceChildren(...answer.predictions.slice(0, Math.max(1, element("k").value)).map(predictionRow));
  const server = answer.timings_ms;
  const times = { decode: server.decode, queue: server.queue, network: server.inference };
  times.rest = Math.max(0, seen - times.decode - times.queue - times.network);
  element("total").textContent = `${milliseconds(seen)} ${text("ms")}`;
  element("cached").hidden = !answer.cached;
  element("stack").replaceChildren(...PARTS.map((part) => {
    const bar = make("span", "", { className: part });
    bar.style.flexGrow = times[part] / seen;
    return bar;
  }));
  element("times").replaceChildren(...PARTS.map((part) =>
    make("div", [make("dt", text(part), { className: part }), make("dd", milliseconds(times[part]))])));
  element("warnings").replaceChildren(...answer.warnings.map((code) => make("li", warningText(code))));
  element("answerer").textContent = answer.model;
  renderWhy();
}

function showPicture() {
  const picture = element("picture");
  element("answer").hidden = false;
  if (picture.getAttribute("src") !== current.url) picture.src = current.url;
  picture.alt = current.unshown ? text("unshown") : text("pictureOf", current.file.name);
  element("name").textContent = current.file.name;
  if (!current.chosen) element("heat").hidden = element("seen").hidden = true;
}

function predictionRow(one) {
  const share = make("span");
  share.style.width = `${100 * one.confidence}%`;
  const parts = [
    make("span", className(one)), make("span", percent(one.confidence), { className: "number" }),
    make("span", share, { className: "bar" }),
  ];
  const explainable = model?.manifest.activation_map && !current.unshown;
  const row = make(explainable ? "button" : "div", parts, { className: "row" });
  if (explainable) {
    row.type = "button";
    row.dataset.index = one.index;
    row.addEventListener("click", () => choose(one));
  }
  return make("li", row);
}

async function choose(one) {
  const entry = current;
  entry.chosen = entry.chosen?.index === one.index ? null : one;
  try {
    entry.maps ??= explain(entry.file);
    await entry.maps;
  } catch (error) {
    entry.maps = entry.chosen = null;
    if (entry === current) element("why-hint").textContent = error.describe();
    return;
  }
  if (entry === current) renderWhy();
}

async function renderWhy() {
  const entry = current;
  const { chosen, maps } = entry;
  element("why").hidden = !model?.manifest.activation_map || Boolean(entry.unshown);
  element("why-hint").textContent = chosen ? text("why", plainName(chosen)) : text("whyHint");
  for (const row of document.querySelectorAll("#predictions button")) {
    row.ariaPressed = String(row.dataset.index === String(chosen?.index));
  }
  element("strength-label").hidden = element("heat").hidden = element("seen").hidden = !chosen;
  if (!chosen) return;
  const { box, maps: all } = await maps;
  if (entry !== current || entry.chosen !== chosen) return;
  const [left, top, right, bottom] = box;
  drawHeat(element("heat"), element("picture"), box, all.find((one) => one.index === chosen.index).map);
  Object.assign(element("seen").style, {
    left: `${100 * left}%`, top: `${100 * top}%`,
    width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
  });
}

function renderHistory() {
  element("history").hidden = kept.length < 2;
  element("history").replaceChildren(...kept.map((entry) => {
    const name = `${plainName(entry.answer.predictions[0])}, ${entry.file.name}`;
    const button = make("button", make("img", "", { src: entry.url, alt: name, decoding: "async" }), { type: "button", title: name });
    if (entry === current) button.ariaCurrent = "true";
    button.addEventListener("click", () => showAgain(entry));
    return make("li", button);
  }));
}

/** Connect the controls of the answer. */
export function startAnswer() {
  element("k").addEventListener("input", render);
  element("strength").addEventListener("input", setStrength);
  element("picture").addEventListener("error", ({ target }) => {
    if (target.getAttribute("src") !== current?.url) return;
    current.unshown = true;
    element("frame").style.width = "";
    showPicture();
    render();
  });
  element("picture").addEventListener("load", ({ target }) => {
    // As wide as there is room, but never higher than is comfortable.
    element("frame").style.width = `min(100%, ${(24 * target.naturalWidth) / target.naturalHeight}rem)`;
    if (current?.answer) renderWhy();
  });
  setStrength();
}

function setStrength() {
  element("heat").style.opacity = element("strength").value / 100;
}

/** After a change of language. */
export function translateAnswer() {
  render();
  renderHistory();
}
