// What answers here, and how to ask it from code.

import { className } from "./answer.js";
import { element, make } from "./dom.js";
import { asking, key, model, reportPath, served } from "./server.js";
import { percent, text } from "./texts.js";

function facts() {
  const { manifest, digest } = model;
  const { weights, preprocess, measured, calibration, confidence } = manifest;
  const { float32, bundle } = measured;
  return {
    name: `${manifest.name} (${manifest.architecture})`,
    weights: weights.url ? `${weights.source}, ${weights.url}` : weights.source,
    sha256: weights.sha256,
    precision: manifest.precision,
    size: `${(Object.values(manifest.files).reduce((sum, file) => sum + file.bytes, 0) / 1e6).toFixed(1)} MB`,
    classes: manifest.class_count,
    input: `${preprocess.crop} × ${preprocess.crop} (${preprocess.resize}, ${preprocess.interpolation})`,
    accuracy: bundle ? text("accuracy", bundle.top1, float32.top1, bundle.images) : text("unmeasured"),
    agreement: text("agreement", measured.agreement, measured.agreement_images),
    calibration: calibration?.source,
    threshold: confidence?.threshold && percent(confidence.threshold),
    digest,
  };
}

export function renderModel() {
  const entries = Object.entries(facts()).filter(([, value]) => value != null);
  element("facts").replaceChildren(...entries.flatMap(([key, value]) => [make("dt", text("facts")[key]), make("dd", String(value))]));
  element("choice").hidden = served.length < 2;
  element("served").replaceChildren(...served.map((name) => make("option", name)));
  element("served").value = model.name;
  const report = element("report");
  report.hidden = !model.manifest.files["report.html"];
  report.href = reportPath();
  renderClasses();
}

function renderClasses() {
  if (!model) return;
  const wanted = element("search").value.trim().toLowerCase();
  const found = model.labels
    .map((label, index) => ({ label, index, by: model }))
    .filter(({ label, index }) =>
      [label, ...Object.values(model.translations).map((names) => names[index])].some((name) => name.toLowerCase().includes(wanted)));
  element("found").textContent = text("found", found.length);
  element("classes").replaceChildren(...found.map((one) => make("li", className(one))));
}

const SAMPLES = {
  curl: (url) => `curl -F file=@photo.jpg${key && ' -H "Authorization: Bearer $KEY"'} "${url}"`,
  Python: (url) => `import json
import os
from pathlib import Path
from urllib.request import Request, urlopen

picture = Path("photo.jpg").read_bytes()
request = Request("${url}", data=picture)
${key && 'request.add_header("Authorization", "Bearer " + os.environ["KEY"])\n'}with urlopen(request) as response:
    for best in json.load(response)["predictions"]:
        print(best["label"], best["confidence"])`,
  JavaScript: (url) => `import { readFile } from "node:fs/promises";

const body = await readFile("photo.jpg");
const headers = ${key ? "{ Authorization: `Bearer ${process.env.KEY}` }" : "{}"};
const response = await fetch("${url}", { method: "POST", headers, body });
for (const { label, confidence } of (await response.json()).predictions) {
  console.log(label, confidence);
}`,
};

export function renderCode() {
  const url = `${location.origin}/predict?top_k=3${model ? asking(model) : ""}`;
  element("code").replaceChildren(element("code").firstElementChild, ...Object.entries(SAMPLES).flatMap(([name, sample]) => {
    const code = make("pre", make("code", sample(url)), { tabIndex: 0 });
    const copy = make("button", "", { type: "button" });
    const label = (word) => Object.assign(copy, { textContent: word, ariaLabel: `${word}: ${name}` });
    label(text("copy"));
    copy.addEventListener("click", async () => {
      await copyFrom(code);
      label(text("copied"));
      setTimeout(() => label(text("copy")), 2000);
    });
    return [make("div", [make("h2", name), copy], { className: "line" }), code];
  }));
}

async function copyFrom(node) {
  try {
    return await navigator.clipboard.writeText(node.textContent);
  } catch {
    // Over plain HTTP from another machine there is no such thing, or the user forbids it.
  }
  getSelection().selectAllChildren(node);
  document.execCommand("copy");
}

export function startPanels() {
  element("search").addEventListener("input", renderClasses);
}
