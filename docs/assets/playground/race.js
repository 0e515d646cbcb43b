// Three networks that differ only in the size of their first weights, trained side by side.

import { html } from "./controls.js";
import { Chart, key, lookOf } from "./draw.js";
import { percent } from "./numbers.js";
import { fromQuery, titleOf } from "./settings.js";
import { newWorker, trainingJob, withoutWorkers } from "./workers.js";

const INITS = ["small", "he", "large"];
const OPTIONS = { rate: 0.03, steps: 300 };
const GUESSING = 0.1;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function race(root) {
  const given = fromQuery(root.dataset.settings ?? "");
  const chart = new Chart("Share of unseen digits read correctly, by training step", { width: 700, height: 190, x: "step", y: [0, 1] });
  const button = html("button", { type: "button", class: "pg-button pg-primary", click: start }, "Train all three");
  const list = html("ul", { class: "pg-runs pg-in-line" });
  const spoken = html("p", { class: "pg-hidden", role: "status" });
  let runs = INITS.map((init) => newRun({ ...given, init }));
  let seed = given.seed;

  function start() {
    for (const { worker } of runs) worker?.terminate();
    runs = INITS.map((init) => newRun({ ...given, init, seed }));
    seed += 1;
    button.textContent = "Train three new ones";
    for (const run of runs) {
      run.state = "training";
      try {
        run.worker = newWorker();
      } catch {
        return withoutWorkers(root);
      }
      run.worker.onerror = () => withoutWorkers(root);
      run.worker.onmessage = ({ data }) => hear(run, data);
      run.worker.postMessage(trainingJob(0, run.settings, OPTIONS));
    }
    paint();
  }

  function hear(run, { kind, points = [] }) {
    for (const { step, loss, accuracy } of points) {
      run.step = step;
      if (loss !== undefined && !Number.isFinite(loss)) run.state = "diverged";
      if (accuracy === undefined || Number.isNaN(accuracy)) continue;
      run.steps.push(step);
      run.shares.push(accuracy);
    }
    if (kind === "done") {
      if (run.state === "training") run.state = "done";
      run.worker.terminate();
    }
    const running = runs.some(({ state }) => state === "training");
    if (!running || !calm.matches) paint();
    if (!running) spoken.textContent = runs.map(resultOf).join("; ");
  }

  function paint() {
    const lines = runs.map(({ settings, steps, shares }) => ({ kind: "run", color: lookOf(settings.init).color, values: shares, at: steps }));
    const guessing = { kind: "theory", color: "var(--md-default-fg-color)", values: [GUESSING, GUESSING], at: [0, OPTIONS.steps] };
    chart.draw([guessing, ...lines], { xs: [0, OPTIONS.steps], says: runs.map(resultOf).join("; ") });
    list.replaceChildren(
      ...runs.map((run) => html("li", {}, key("run", lookOf(run.settings.init).color), resultOf(run))),
    );
    root.dataset.shown = runs.map(({ state }) => state).join(" ");
  }

  const title = html("p", { class: "pg-title" }, "Share of unseen digits read correctly (dotted: guessing)");
  const body = html("div", { class: "pg-body" }, html("p", { class: "pg-buttons" }, button), html("div", {}, title, chart.svg), list, spoken);
  root.replaceChildren(html("div", { class: "pg pg-live" }, body));
  paint();
}

const newRun = (settings) => ({ settings, state: "ready", step: 0, steps: [], shares: [], worker: null });

function resultOf({ settings, state, step, shares }) {
  const title = titleOf(settings);
  if (state === "ready") return `${title}: not trained yet`;
  if (state === "diverged") return `${title}: broke down at step ${step}`;
  return `${title}: ${shares.length ? percent(shares.at(-1)) : "…"} right at step ${step}`;
}
