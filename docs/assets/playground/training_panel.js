// Train networks side by side on the digits; what ran before stays in sight.

import { html } from "./controls.js";
import { Chart, key, lookOf } from "./draw.js";
import { number, percent } from "./numbers.js";
import { titleOf } from "./settings.js";
import { newWorker, trainingJob } from "./workers.js";

const STEPS = 300;
const CHANCE = Math.log(10);
const CHANCE_COLOR = "var(--md-default-fg-color)";
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// `changed` is called when a training starts and when it ends.
export function trainingPanel(size, changed) {
  const chart = new Chart("Training loss by step", { ...size, x: "step", y: [0, 3] });
  const said = html("p", { class: "pg-said", role: "status" }, "Not trained yet. The digits are fetched when you start.");
  const list = html("ul", { class: "pg-runs" });
  const workers = [];
  let [runs, ghosts, painted] = [[], [], 0];
  const running = () => runs.some((run) => !run.end);

  function start(contestants) {
    stop();
    [ghosts, runs] = [runs, contestants.map((settings) => ({ settings, steps: [], losses: [], accuracy: NaN, at: 0, end: "" }))];
    runs.forEach((run, lane) => {
      workers[lane] ??= listen(newWorker(), lane);
      run.id = performance.now();
      workers[lane].postMessage(trainingJob(run.id, run.settings, { rate: run.settings.rate, steps: STEPS }));
    });
    said.textContent = "Training …";
    // What is said below is for those who do not see the list.
    said.className = "pg-hidden";
    paint();
    changed();
  }

  function stop() {
    runs.forEach((run, lane) => {
      if (!run.end) finish(run, "stopped");
      workers[lane]?.postMessage({ job: "rest" });
    });
  }

  function finish(run, how) {
    run.end = how;
    if (running()) return;
    said.textContent = runs.map((each) => `${describe(each, runs)}: ${each.end} at step ${each.at}, ${resultOf(each)}.`).join(" ");
    paint();
    changed();
  }

  function listen(made, lane) {
    made.onmessage = ({ data }) => {
      const run = runs[lane];
      if (data.id !== run?.id || run.end) return;
      for (const { step, loss, accuracy } of data.points ?? []) {
        run.at = step;
        if (accuracy !== undefined) run.accuracy = accuracy;
        if (loss === undefined) continue;
        run.steps.push(step);
        run.losses.push(loss);
      }
      if (data.kind === "done") return finish(run, run.at < STEPS ? "diverged" : "done");
      if (calm.matches && performance.now() - painted < 1000) return;
      painted = performance.now();
      paint();
    };
    return made;
  }

  // A run has the colour of its initialization; a second one of that colour is dashed.
  const kindOf = (run, i) =>
    ghosts.includes(run) ? "past" : runs.slice(0, i).some((other) => colorOf(other) === colorOf(run)) ? "second" : "run";

  function paint() {
    const all = [...ghosts, ...runs];
    const series = all.map((run) => ({ kind: kindOf(run, runs.indexOf(run)), color: colorOf(run), values: smoothed(run.losses), at: run.steps }));
    const chance = { kind: "theory", color: CHANCE_COLOR, values: [CHANCE, CHANCE], at: [0, STEPS] };
    chart.draw([chance, ...series], {
      xs: [0, STEPS],
      says: runs.length ? runs.map((run) => `${describe(run, runs)}, ${resultOf(run)}`).join("; ") : "no run yet; the dotted line is guessing, 2.30",
      note: runs.length ? "" : "dotted: guessing, log 10",
    });
    list.replaceChildren(
      ...[...runs, ...ghosts].map((run) =>
        html("li", {}, key(kindOf(run, runs.indexOf(run)), colorOf(run)), `${ghosts.includes(run) ? "before: " : ""}${describe(run, all)}: ${resultOf(run)}`)),
    );
  }

  paint();
  return { nodes: [chart.svg, said, list], start, stop, running };
}

const colorOf = ({ settings }) => lookOf(settings.init).color;
// The initialization, and what else tells the runs apart.
function describe({ settings }, all) {
  const differs = (name) => all.some((other) => other.settings[name] !== settings[name]);
  const { activation, depth, width, layerNorm, residual, rate, seed } = settings;
  return [
    titleOf(settings),
    differs("activation") && activation,
    (differs("depth") || differs("width")) && `${depth} × ${width}`,
    layerNorm && "LayerNorm",
    residual && "residual",
    differs("rate") && `rate ${number(rate)}`,
    differs("seed") && `draw ${seed}`,
  ].filter(Boolean).join(", ");
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
