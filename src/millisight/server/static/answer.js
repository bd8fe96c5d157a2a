// The answer to one picture: labels, times, what speaks for a label, and the strip of earlier ones.

import { element, make, reveal, say } from "./dom.js";
import { drawHeat } from "./heat.js";
import { explain } from "./server.js";
import { language, milliseconds, percent, text, warningText } from "./texts.js";

const KEPT = 20;
const PARTS = ["decode", "queue", "network", "rest"];

let current = null; // What is shown: { file, url, answer, seen, maps, chosen }.
let kept = [];

/** The name of a class in the page's language. */
export const plainName = (one) => one.by.translations[language]?.[one.index] ?? one.label;

/** The same, with the English one beside it. */
export function className(one) {
  const own = plainName(one);
  return own === one.label ? [own] : [`${own} `, make("small", one.label, { lang: "en" })];
}

export const shown = () => current?.file;

/** Show the picture at once; its answer follows. */
export function showWaiting(file) {
  current = { file, url: URL.createObjectURL(file), before: current };
  showPicture();
  return current;
}

/** Show `entry` if it is still the newest, and keep it in the strip. */
export function showAnswer(entry, { answer, seen }) {
  Object.assign(entry, { answer, seen, before: null });
  keep(entry);
  if (entry === current) renderCurrent();
  renderHistory();
}

/** Nothing came of `entry`: what was shown before comes back. */
export function forget(entry) {
  entry.gone = true;
  URL.revokeObjectURL(entry.url);
  if (entry !== current) return;
  while (current?.gone) current = current.before;
  element("answer").hidden = !current;
  render();
  renderHistory();
}

/** Show an answer that was given before. */
export function showAgain(entry) {
  entry.url ??= URL.createObjectURL(entry.file);
  current = entry;
  if (!kept.includes(entry)) keep(entry);
  renderCurrent();
  renderHistory();
}

function renderCurrent() {
  render();
  reveal("answer");
  const best = current.answer.predictions[0];
  const said = text("said", plainName(best), percent(best.confidence), milliseconds(current.seen));
  say(current.answer.uncertain ? `${said}. ${text("uncertain")}` : said);
}

function keep(entry) {
  kept.unshift(entry);
  if (kept.length <= KEPT) return;
  const oldest = kept.findLastIndex((one) => one !== current);
  for (const old of kept.splice(oldest, 1)) {
    URL.revokeObjectURL(old.url);
    old.url = undefined;
  }
}

/** Write everything again. */
export function render() {
  if (!current) return;
  showPicture();
  if (!current.answer) return;
  const entry = current;
  const { answer, seen } = entry;
  element("uncertain").hidden = !answer.uncertain;
  element("predictions").replaceChildren(
    ...answer.predictions.slice(0, Math.max(1, element("k").value)).map((one) => predictionRow(entry, one)));
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
  renderWhy(entry);
}

function showPicture() {
  const picture = element("picture");
  const waiting = !current.answer;
  element("answer").hidden = false;
  element("answer").classList.toggle("waiting", waiting);
  element("words").inert = waiting;
  if (picture.getAttribute("src") !== current.url) picture.src = current.url;
  picture.alt = current.unshown ? text("unshown") : text("pictureOf", current.file.name);
  element("name").textContent = current.file.name;
  if (waiting) hideMap();
}

function hideMap() {
  element("strength-label").hidden = element("heat").hidden = element("seen").hidden = true;
}

/** Whether there are maps of this picture that would lie where they belong. */
function explainable({ file, answer, unshown }) {
  // Browsers do not turn WebP as its EXIF data say.
  const turned = file.type === "image/webp" && answer.warnings.includes("exif_rotated");
  return answer.by.manifest.activation_map && !unshown && !turned;
}

function predictionRow(entry, one) {
  const share = make("span");
  share.style.width = `${100 * one.confidence}%`;
  const parts = [
    make("span", className(one)), make("span", percent(one.confidence), { className: "number" }),
    make("span", share, { className: "bar" }),
  ];
  if (!explainable(entry)) return make("li", make("div", parts, { className: "row" }));
  const row = make("button", parts, { className: "row", type: "button" });
  row.dataset.index = one.index;
  row.addEventListener("click", () => {
    entry.chosen = entry.chosen?.index === one.index ? null : one;
    entry.whyNot = null;
    renderWhy(entry);
  });
  return make("li", row);
}

async function renderWhy(entry) {
  const { chosen } = entry;
  const hint = (words) => (element("why-hint").textContent = words);
  element("why").hidden = !explainable(entry);
  for (const row of document.querySelectorAll("#predictions button")) {
    row.ariaPressed = String(row.dataset.index === String(chosen?.index));
  }
  hideMap();
  hint(entry.whyNot?.() ?? text(chosen ? "looking" : "whyHint"));
  if (!chosen) return;
  let maps;
  try {
    entry.maps ??= explain(entry.file, entry.answer, (busy) => entry === current && hint(busy()));
    maps = await entry.maps;
  } catch (error) {
    Object.assign(entry, { maps: null, chosen: null, whyNot: error.describe });
    if (entry !== current) return;
    say(error.describe());
    renderWhy(entry);
    return;
  }
  if (entry !== current || entry.chosen !== chosen) return;
  hint(text("why", plainName(chosen)));
  const [left, top, right, bottom] = maps.box;
  drawHeat(element("heat"), element("picture"), maps.box, maps.maps.find((one) => one.index === chosen.index).map);
  Object.assign(element("seen").style, {
    left: `${100 * left}%`, top: `${100 * top}%`,
    width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
  });
  element("strength-label").hidden = element("heat").hidden = element("seen").hidden = false;
}

function renderHistory() {
  const strip = element("history");
  const focused = strip.contains(document.activeElement);
  strip.hidden = kept.length < 2;
  strip.replaceChildren(...kept.map((entry) => {
    const name = `${plainName(entry.answer.predictions[0])}, ${entry.file.name}`;
    const button = make("button", make("img", "", { src: entry.url, alt: name, decoding: "async" }), { type: "button", title: name });
    if (entry === current) button.ariaCurrent = "true";
    button.addEventListener("click", () => showAgain(entry));
    return make("li", button);
  }));
  if (focused) strip.querySelector("[aria-current]")?.focus();
}

export function startAnswer() {
  element("k").addEventListener("input", render);
  element("strength").addEventListener("input", setStrength);
  element("picture").addEventListener("error", ({ target }) => {
    if (target.getAttribute("src") !== current?.url) return;
    current.unshown = true;
    element("frame").style.width = "";
    render();
  });
  element("picture").addEventListener("load", ({ target }) => {
    // As wide as there is room, but never higher than is comfortable.
    element("frame").style.width = `min(100%, ${(24 * target.naturalWidth) / target.naturalHeight}rem)`;
    if (current?.answer) renderWhy(current);
  });
  setStrength();
}

function setStrength() {
  element("heat").style.opacity = element("strength").value / 100;
}

export function translateAnswer() {
  render();
  renderHistory();
}
