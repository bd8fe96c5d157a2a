// Asks the server, and says what went wrong in the page's own words.

import { text } from "./texts.js";

const ATTEMPTS = 5;
const MOST_SHOWN = 20;

/** What the page knows of the model it asks: the body of GET /model. */
export let model = null;

/** The names of all that are served. */
export let served = [];

/** The API key of this visit, where the server wants one. */
export let key = "";

export function useKey(given) {
  // Anything else cannot stand in a header, and no key has it.
  key = given.replace(/[^\x21-\x7e]/g, "");
}

export async function fetchModel(name) {
  const { models } = await ask("/models", {});
  model = await ask(name ? `/model?${asking({ name })}` : "/model", {});
  served = models.map((one) => one.name);
}

/** Who is asked, in a query, where there is a choice. */
export function asking({ name }) {
  return served.length > 1 ? `&model=${encodeURIComponent(name)}` : "";
}

/** An error for the user: `describe()` says it in the language of the moment. */
export class Failure extends Error {
  constructor(describe, properties = {}) {
    super(describe());
    Object.assign(this, { describe }, properties);
  }
}

/** The answer to one picture, with the model it is `by`, and how long it took as seen from here. */
export function predict(file, { signal, onBusy } = {}) {
  const asked = model;
  const mb = asked.max_upload_mb;
  if (file.size > mb * 1e6) throw new Failure(() => text("upload_too_large", mb));
  return patiently(async () => {
    const started = performance.now();
    const answer = await ask(`/predict?top_k=${MOST_SHOWN}${asking(asked)}`, { method: "POST", body: file, signal });
    for (const one of [answer, ...answer.predictions]) one.by = asked;
    return { answer, seen: performance.now() - started };
  }, signal, onBusy);
}

/** The class activation maps of the classes in `answer`. */
export function explain(file, { predictions, by }, onBusy) {
  const wanted = predictions.map((one) => `class=${one.index}`).join("&");
  return patiently(() => ask(`/explain?${wanted}${asking(by)}`, { method: "POST", body: file }), undefined, onBusy);
}

export const reportPath = () => `/model/report?${asking(model)}`;

export const fetchReport = () => ask(reportPath(), {}, "blob");

async function ask(path, options, kind = "json") {
  let response;
  let body;
  try {
    response = await fetch(path, { ...options, headers: key ? { Authorization: `Bearer ${key}` } : {} });
    body = await response[response.ok ? kind : "json"]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const readable = await options.body?.slice(0, 1).arrayBuffer().catch(() => null);
    throw new Failure(() => text(readable === null ? "unreadable" : "gone"));
  }
  if (response.ok) return body;
  throw new Failure(() => text(body.code, model?.max_upload_mb) ?? text("other", `${body.error} ${body.hint}`.trim()), {
    code: body.code, retryAfter: response.headers.get("Retry-After"),
  });
}

/** `attempt`, again when the server says that it is busy, after the time it asks for. */
async function patiently(attempt, signal, onBusy) {
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!error.retryAfter || number === ATTEMPTS) throw error;
      onBusy?.(() => text("busy", error.retryAfter));
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
      signal?.throwIfAborted();
    }
  }
}
