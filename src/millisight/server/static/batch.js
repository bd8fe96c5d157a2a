// Many pictures: a table that fills as answers come.

import { className, plainName, showAgain } from "./answer.js";
import { element, make, save, say } from "./dom.js";
import { Failure, predict } from "./server.js";
import { language, milliseconds, percent, text } from "./texts.js";

const IN_FLIGHT = 4;
const DRAW_MS = 150;
const COLUMNS = ["file", "label", "confidence", "ms"];

let jobs = [];
let stopping = null;
let sorted = { column: null, descending: false };
let drawn = true;

/** Classify `files` one after the other, a few at a time; those of an earlier call are stopped. */
export async function classifyMany(files) {
  stopping?.abort();
  const own = (stopping = new AbortController());
  jobs = files.map((file, number) => ({ file, number, row: newRow(file) }));
  sorted = { column: null, descending: false };
  element("batch").hidden = false;
  element("progress").max = jobs.length;
  element("rows").replaceChildren(...jobs.map((job) => job.row));
  translateBatch();
  const waiting = jobs.values();
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    for (const job of waiting) await classify(job, own.signal);
  }));
  if (own !== stopping) return;
  stopping = null;
  draw();
  say(progress());
}

const done = () => jobs.filter((job) => job.answer || job.error).length;

function progress() {
  return text("count", done(), jobs.length, jobs.filter((job) => job.error && !job.stopped).length);
}

async function classify(job, signal) {
  try {
    signal.throwIfAborted();
    Object.assign(job, await predict(job.file, { signal }));
  } catch (error) {
    job.stopped = error.name === "AbortError";
    if (!job.stopped && !(error instanceof Failure)) throw error;
    job.error = job.stopped ? () => text("stopped") : error.describe;
  }
  fill(job);
  draw();
}

function newRow(file) {
  const name = make("button", file.name, { type: "button", disabled: true });
  const numbers = [1, 2].map(() => make("td", "", { className: "number" }));
  return make("tr", [make("td", name), make("td", "…"), ...numbers]);
}

function fill(job) {
  const { row, answer, seen, error } = job;
  const [name, label, confidence, time] = row.cells;
  if (error) {
    label.textContent = error();
    label.className = "failed";
  } else if (answer) {
    name.firstChild.disabled = false;
    name.firstChild.onclick = () => showAgain(job);
    label.replaceChildren(...className(answer.predictions[0]));
    if (answer.uncertain) label.append(" ", make("span", text("unsure"), { className: "badge" }));
    confidence.textContent = percent(answer.predictions[0].confidence);
    time.textContent = milliseconds(seen);
  }
}

/** Progress and order, a few times a second at most. */
function draw() {
  if (!drawn) return;
  drawn = false;
  setTimeout(() => {
    drawn = true;
    element("progress").value = done();
    element("count").textContent = progress();
    element("stop").disabled = !stopping;
    element("csv").disabled = !element("progress").value;
    if (sorted.column) sort();
  }, DRAW_MS);
}

const KEYS = {
  file: (job) => job.file.name,
  label: (job) => job.answer && plainName(job.answer.predictions[0]),
  confidence: (job) => job.answer?.predictions[0].confidence,
  ms: (job) => job.seen,
};

function sort() {
  const key = KEYS[sorted.column];
  const sign = sorted.descending ? -1 : 1;
  const order = [...jobs].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    // What has no answer stands last, whatever the direction.
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || one.number - other.number;
    const difference = typeof a === "string" ? a.localeCompare(b, language, { numeric: true }) : a - b;
    return sign * difference || one.number - other.number;
  });
  const focused = document.activeElement;
  element("rows").append(...order.map((job) => job.row));
  if (element("rows").contains(focused)) focused.focus({ preventScroll: true });
}

function sortBy(column) {
  sorted = { column, descending: sorted.column === column && !sorted.descending };
  columns();
  sort();
}

function columns() {
  element("columns").replaceChildren(...COLUMNS.map((column) => {
    const button = make("button", text(column), { type: "button" });
    button.addEventListener("click", () => {
      sortBy(column);
      element("columns").children[COLUMNS.indexOf(column)].firstChild.focus();
    });
    const head = make("th", button, { scope: "col" });
    if (sorted.column === column) head.ariaSort = sorted.descending ? "descending" : "ascending";
    return head;
  }));
}

/** One line a picture, its three best classes; for spreadsheets, which want the mark of UTF-8. */
function csv() {
  const ranks = [0, 1, 2];
  const head = ["file", ...ranks.flatMap((rank) => [`label_${rank + 1}`, `confidence_${rank + 1}`]), "ms", "cached", "uncertain", "error"];
  const lines = jobs.map(({ file, answer, seen, error }) => [
    file.name,
    ...ranks.flatMap((rank) => [answer?.predictions[rank]?.label, answer?.predictions[rank]?.confidence]),
    seen && Math.round(1000 * seen) / 1000, answer?.cached, answer?.uncertain, error?.(),
  ]);
  // Spreadsheets would take what begins like a formula for one.
  const plain = (value) => (typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : String(value ?? ""));
  const quoted = (value) => `"${plain(value).replaceAll('"', '""')}"`;
  return "\ufeff" + [head, ...lines].map((line) => line.map(quoted).join(",") + "\r\n").join("");
}

export function startBatch() {
  element("stop").addEventListener("click", () => {
    stopping?.abort();
    // The button cannot keep the focus once it is of no use.
    element("scroller").focus({ preventScroll: true });
  });
  element("csv").addEventListener("click", () => save(new Blob([csv()], { type: "text/csv" }), "millisight.csv"));
}

export function translateBatch() {
  columns();
  jobs.forEach(fill);
  draw();
}
