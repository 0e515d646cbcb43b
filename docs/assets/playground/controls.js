// Native inputs with labels, and the elements they are made of.

import { number } from "./numbers.js";
import { ACTIVATION_TITLES, BATCHES, INITS, RANGES, RATES, SEEDS, nearestRate } from "./settings.js";

// An element from its name, attributes and children; a function is an event's listener.
export function html(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== false) made.setAttribute(key, value === true ? "" : value);
  made.append(...children);
  return made;
}

let count = 0;
const newId = () => `pg-input-${++count}`;

function select(label, options) {
  const id = newId();
  const input = html("select", { id }, ...options.map(([value, text]) => html("option", { value }, text)));
  return {
    node: html("div", { class: "pg-field" }, html("label", { for: id }, label), input),
    input,
    get: () => input.value,
    set: (value) => (input.value = value),
  };
}

export function slider(label, { min, max, step, shown = String }) {
  const id = newId();
  const input = html("input", { id, type: "range", min, max, step });
  const output = html("output", { for: id });
  const say = () => {
    output.textContent = shown(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", say);
  return {
    node: html("div", { class: "pg-field pg-slider" }, html("label", { for: id }, label), output, input),
    input,
    get: () => Number(input.value),
    set: (value) => {
      input.value = value;
      say();
    },
  };
}

// A whole number, with a button that takes the next one.
function draws(label) {
  const id = newId();
  const input = html("input", { id, type: "number", min: 0, max: SEEDS - 1, step: 1 });
  const get = () => Math.min(Math.max(Math.trunc(Number(input.value)) || 0, 0), SEEDS - 1);
  const next = () => {
    input.value = (get() + 1) % SEEDS;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const button = html("button", { type: "button", class: "pg-button", click: next }, "New draw");
  return {
    node: html("div", { class: "pg-field pg-draws" }, html("label", { for: id }, label), button, input),
    input,
    get,
    set: (value) => (input.value = value),
  };
}

function check(label) {
  const id = newId();
  const input = html("input", { id, type: "checkbox" });
  return {
    node: html("div", { class: "pg-check" }, input, html("label", { for: id }, label)),
    input,
    get: () => input.checked,
    set: (value) => (input.checked = value),
  };
}

export const CONTROLS = {
  activation: () => select("Activation", Object.entries(ACTIVATION_TITLES)),
  init: () => select("Initialization", Object.entries(INITS).map(([value, [, label]]) => [value, label])),
  gain: () => slider("Gain: std times √fan_in", { ...RANGES.gain, shown: (gain) => gain.toFixed(3) }),
  depth: () => slider("Depth", { ...RANGES.depth, shown: (depth) => `${depth} layers` }),
  width: () => slider("Width", { ...RANGES.width, shown: (width) => `${width} units` }),
  layerNorm: () => check("LayerNorm"),
  residual: () => check("Residual sums"),
  batch: () => {
    const made = select("Inputs", BATCHES.map((size) => [size, String(size)]));
    return { ...made, get: () => Number(made.get()) };
  },
  seed: () => draws("Random draw"),
  rate: () => {
    const made = slider("Learning rate", { min: 0, max: RATES.length - 1, step: 1, shown: (place) => number(RATES[place]) });
    return { ...made, get: () => RATES[made.get()], set: (rate) => made.set(RATES.indexOf(nearestRate(rate))) };
  },
};
