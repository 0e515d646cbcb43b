// Below the charts: the code that does the same, and training on the digits.

import { DIGITS } from "./constants.js";
import { html, slider } from "./controls.js";
import { Chart, lookOf } from "./draw.js";
import { number, percent } from "./numbers.js";
import { titleOf } from "./settings.js";
import { snippet } from "./snippet.js";

const STEPS = 300;
const MOST_RUNS = 5;
const CHANCE = Math.log(10);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export const newWorker = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

// What a worker needs to train one network; it fetches the digits itself.
export function trainingJob(id, settings, options) {
  const data = new URL("./digits.bin", import.meta.url).href;
  return { job: "train", id, settings, options, data, constants: DIGITS };
}

export function workbench(body, current) {
  const { node, adopt } = code();
  body.append(node, training(current));
  return { adopt };
}

function code() {
  const text = html("code", { tabindex: 0, role: "region", "aria-label": "Python code" });
  const said = html("span", { role: "status" });
  const copy = async (content, what) => {
    try {
      await navigator.clipboard.writeText(content);
      said.textContent = `${what} copied.`;
    } catch {
      said.textContent = "The browser does not let this page copy; select the text instead.";
    }
  };
  const button = (label, click) => html("button", { type: "button", class: "pg-button", click }, label);
  const block = html("pre", {}, text);
  const adopt = (settings) => (text.textContent = snippet(settings));
  const node = html("div", { class: "pg-code" },
    html("h2", { class: "pg-title" }, "Take it home: the same with initguide"),
    block,
    html("p", { class: "pg-buttons" }, button("Copy the code", () => copy(text.textContent, "Code")),
      button("Copy a link to this setting", () => copy(location.href, "Link")), said));
  return { node, adopt };
}

function training(current) {
  const chart = new Chart("Training loss by step", { width: 900, height: 280, x: "step", y: [0, 3] });
  const rate = slider("Learning rate", { min: -4, max: 0, step: 0.25, shown: (power) => number(10 ** power) });
  rate.set(-2);
  const button = html("button", { type: "button", class: "pg-button pg-primary", click: toggle }, "Train it");
  const said = html("p", { class: "pg-said", role: "status" }, "Not trained yet. The digits are fetched when you start.");
  const list = html("ul", { class: "pg-runs" });
  const node = html("div", { class: "pg-training" },
    html("h2", { class: "pg-title" }, "Train it: 1400 handwritten digits, plain gradient descent"),
    html("div", { class: "pg-row" }, rate.node, button), chart.svg, said, list);
  let [worker, id, running] = [null, 0, false];
  const runs = [];

  function toggle() {
    if (running) return stop("Stopped");
    worker ??= listen(newWorker());
    const settings = current();
    running = true;
    button.textContent = "Stop";
    const run = { settings, rate: 10 ** rate.get(), steps: [], losses: [], accuracy: NaN, at: 0 };
    runs.push(run);
    if (runs.length > MOST_RUNS) runs.shift();
    said.textContent = "Training …";
    worker.postMessage(trainingJob(++id, settings, { rate: run.rate, steps: STEPS }));
    paint();
  }

  function stop(how) {
    running = false;
    button.textContent = "Train it";
    worker?.postMessage({ job: "rest" });
    const run = runs.at(-1);
    said.textContent = `${how} at step ${run.at}: ${resultOf(run)}.`;
    paint();
  }

  function listen(made) {
    let painted = 0;
    made.onmessage = ({ data }) => {
      if (data.id !== id || !running) return;
      const run = runs.at(-1);
      for (const { step, loss, accuracy } of data.points ?? []) {
        run.at = step;
        if (accuracy !== undefined) run.accuracy = accuracy;
        if (loss === undefined) continue;
        run.steps.push(step);
        run.losses.push(loss);
      }
      if (data.kind === "done") {
        stop(run.at < STEPS ? "Diverged" : "Done");
        return;
      }
      if (calm.matches && performance.now() - painted < 1000) return;
      painted = performance.now();
      paint();
    };
    return made;
  }

  function paint() {
    const series = runs.map(({ settings, steps, losses }, i) => ({
      kind: i === runs.length - 1 ? "run" : "past",
      color: lookOf(settings.init).color,
      values: smoothed(losses),
      at: steps,
    }));
    const chance = { kind: "theory", color: "var(--md-default-fg-color)", values: [CHANCE, CHANCE], at: [0, STEPS] };
    const run = runs.at(-1);
    chart.draw([chance, ...series], {
      xs: [0, STEPS],
      says: run ? `${describe(run)}, ${resultOf(run)}` : "no run yet; the dotted line is guessing, 2.30",
      note: run ? "" : "dotted: guessing, log 10",
    });
    list.replaceChildren(
      ...[...runs].reverse().map((each) => {
        const dot = html("span", { class: "pg-dot" });
        dot.style.background = lookOf(each.settings.init).color;
        return html("li", {}, dot, `${describe(each)}: ${resultOf(each)}`);
      }),
    );
  }

  paint();
  return node;
}

function describe({ settings, rate }) {
  const { activation, depth, width, layerNorm, residual } = settings;
  const extras = [layerNorm && "LayerNorm", residual && "residual"].filter(Boolean);
  return [titleOf(settings), activation, `${depth} × ${width}`, ...extras, `rate ${number(rate)}`].join(", ");
}

function resultOf({ losses, accuracy }) {
  const loss = losses.at(-1);
  if (loss === undefined) return "starting";
  if (!Number.isFinite(loss)) return "the loss is not a number any more";
  return `loss ${number(loss)}, ${percent(accuracy)} of the held-out digits right`;
}

// Batches are small: the mean of the last eight losses is easier to read.
const smoothed = (losses) =>
  losses.map((_, i) => {
    const part = losses.slice(Math.max(0, i - 7), i + 1);
    return part.reduce((sum, loss) => sum + loss, 0) / part.length;
  });
