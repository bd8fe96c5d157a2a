// Asks the server, and says what went wrong in the page's own words.

import { text } from "./texts.js";

const ATTEMPTS = 5;

/** What the page knows of the model: the body of GET /model. */
export let model = null;

export async function fetchModel() {
  model = await ask("/model", {});
}

/** An error for the user: `message()` says it in the language of the moment. */
export class Failure extends Error {
  constructor(message) {
    super(message());
    this.describe = message;
  }
}

/** The answer to one picture, and how long it took as seen from here. */
export async function predict(file, { signal, onBusy } = {}) {
  checkSize(file);
  const started = performance.now();
  const answer = await patiently(() => ask(`/predict?top_k=${topK()}`, { method: "POST", body: file, signal }), signal, onBusy);
  return { answer, seen: performance.now() - started };
}

/** The class activation maps of the classes that `predict` gives. */
export async function explain(file) {
  return patiently(() => ask(`/explain?top_k=${topK()}`, { method: "POST", body: file }));
}

/** As many classes as the page may show. */
export const topK = () => Math.min(20, model?.labels.length ?? 20);

function checkSize(file) {
  const mb = model?.max_upload_mb ?? 10;
  if (file.size > mb * 1e6) throw new Failure(() => text("tooLarge", mb));
}

/** The API key of this visit, where the server wants one. */
let key = "";

export function useKey(given) {
  key = given;
}

async function ask(path, options) {
  if (key) options.headers = { Authorization: `Bearer ${key}` };
  let response;
  let body;
  try {
    response = await fetch(path, options);
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(() => text("gone"));
  }
  if (response.ok) return body;
  const failure = new Failure(() => text(body.code) ?? `${body.error} ${body.hint}`);
  failure.code = body.code;
  failure.retryAfter = response.headers.get("Retry-After");
  throw failure;
}

/** `attempt`, again when the server says that it is busy, after the time it asks for. */
async function patiently(attempt, signal, onBusy) {
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!error.retryAfter || number === ATTEMPTS) throw error;
      for (let left = Math.ceil(error.retryAfter); left > 0; left -= 1) {
        onBusy?.(() => text("busy", left));
        await new Promise((resolve) => setTimeout(resolve, 1000));
        signal?.throwIfAborted();
      }
    }
  }
}
