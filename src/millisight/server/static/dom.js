// The few things that every part of the page does with its elements.

export const element = (id) => document.getElementById(id);

/** A new element with text and properties. */
export function make(tag, content = "", properties = {}) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...[content].flat());
  return node;
}

/** For listeners. */
export function say(words) {
  element("status").textContent = words;
}

export function save(blob, download) {
  const href = URL.createObjectURL(blob);
  make("a", "", { href, download }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** Bring into view what has just appeared. */
export const reveal = (id) => element(id).scrollIntoView({ block: "nearest" });
