// A playground on the page: its controls, the worker's measurements, training, and the address.

import { CONTROLS, html } from "./controls.js";
import { Chart, element, histograms, key, lookOf } from "./draw.js";
import { number, percent } from "./numbers.js";
import { race } from "./race.js";
import { PRESETS, fromQuery, refused, titleOf, toQuery } from "./settings.js";
import { takeHome } from "./take_home.js";
import { trainingPanel } from "./training_panel.js";
import { doubts } from "./verdict.js";
import { newWorker, withoutWorkers } from "./workers.js";

const PLAYGROUND = new URL("../../playground/", import.meta.url);
const QUIET = 600;

// A panel: a title, and its content below it.
const panel = (tag, title, ...nodes) => html("div", { class: "pg-panel" }, html(tag, { class: "pg-title" }, title), ...nodes);
const button = (label, click, primary = false) =>
  html("button", { type: "button", class: primary ? "pg-button pg-primary" : "pg-button", click }, label);

export function mount(root) {
  if ("race" in root.dataset) return race(root);
  let worker;
  try {
    worker = newWorker();
  } catch {
    return withoutWorkers(root);
  }
  worker.onerror = () => withoutWorkers(root);
  const full = "full" in root.dataset;
  const given = fromQuery(root.dataset.settings ?? "");
  const names = root.dataset.controls?.split(" ") ?? Object.keys(CONTROLS);
  let settings = full ? fromQuery(location.search) : given;
  // What was set before the last button: the rival in a race.
  let before = null;
  let shown = null;
  let id = 0;

  const controls = Object.fromEntries(names.map((name) => [name, CONTROLS[name]()]));
  const form = html("form", { class: "pg-controls", "aria-label": "Settings of the network", submit: (e) => e.preventDefault() });
  form.append(...names.map((name) => controls[name].node));
  const verdict = html("div", { class: "pg-verdict" });
  const spoken = html("p", { class: "pg-hidden", role: "status" });
  const fixButton = button("", () => choose(shown.change.settings), true);
  fixButton.hidden = true;
  const legend = html("p", { class: "pg-legend" });
  const size = { width: 330, height: full ? 240 : 220 };
  const charts = { signal: new Chart("Signal by layer", size), gradient: new Chart("Gradient by layer", size) };
  const tag = full ? "h2" : "p";
  const panels = [
    panel(tag, "Signal: rms by layer", charts.signal.svg),
    panel(tag, "Gradient: rms by layer", charts.gradient.svg),
  ];
  const buttons = html("p", { class: "pg-buttons" }, fixButton);
  const head = html("div", { class: "pg-head" }, verdict, buttons);
  const body = html("div", { class: "pg-body" }, head, html("div", { class: "pg-charts pg-top" }, ...panels), legend, spoken);
  const extras = [];
  // What the address asks for and is no setting; it is gone at the first change.
  const wrong = full ? refused(location.search) : [];
  const note = html("p", { class: "pg-wrong", role: "alert" }, `The address asks for ${wrong.join(" and ")}. There is no such setting, so you see the nearest one or the default.`);
  if (wrong.length) head.before(note);
  const trainButton = button("Train it", () => (training.running() ? training.stop() : train([settings])));
  const raceButton = button("", () => train([rival(), settings]));
  const training = full ? trainingPanel(size, paintButtons) : null;
  const panelOfTraining = full && panel("h2", "Training loss on the digits", ...training.nodes);
  if (full) {
    buttons.append(trainButton, raceButton);
    form.prepend(presets());
    panels.at(-1).after(panelOfTraining);
    extras.push(flatAndHistograms(body), numbers(body), takeHome(body));
  } else body.append(html("p", { class: "pg-more" }, html("a", { href: PLAYGROUND.href }, "Open in the playground")));
  const frame = html("div", { class: full ? "pg pg-full" : "pg pg-live" }, form, body);

  // The worker, a separate thread, answers one question at a time. While it computes, only the newest
  // settings wait. Each answer is drawn, so the charts follow a slider that keeps moving.
  let [computing, waiting] = [false, false];
  worker.onmessage = ({ data }) => {
    if (data.kind === "range") {
      if (data.id !== id || computing) return;
      shown.range = data;
    } else {
      shown = data;
      computing = false;
      if (waiting) send();
    }
    paint();
  };
  function send() {
    [computing, waiting] = [true, false];
    worker.postMessage({ job: "measure", id: ++id, settings });
  }

  function ask() {
    if (computing) waiting = true;
    else send();
  }

  function adopt(next) {
    settings = next;
    for (const name of names) controls[name].set(settings[name]);
    if (controls.gain) controls.gain.node.hidden = settings.init !== "gain";
    for (const extra of extras) extra.adopt?.(settings);
    if (!full) body.querySelector(".pg-more a").href = PLAYGROUND.href + toQuery(settings);
    ask();
  }

  // The address always holds the settings that are shown. Only a button adds to the history, because
  // with an entry for each step of a slider the reader could not go back.
  const address = () => location.pathname + toQuery(settings) + location.hash;
  function choose(next) {
    note.remove();
    before = settings;
    adopt(next);
    if (full) history.pushState(null, "", address());
  }

  form.addEventListener("input", (event) => {
    if (!(event.target.name === "preset")) change();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "preset") choose({ ...fromQuery(""), ...PRESETS[event.target.value] });
    else change();
  });
  function change() {
    note.remove();
    adopt({ ...settings, ...Object.fromEntries(names.map((name) => [name, controls[name].get()])) });
    if (full) history.replaceState(null, "", address());
  }
  if (full) window.addEventListener("popstate", () => adopt(fromQuery(location.search)));

  const rival = () => shown?.change?.settings ?? before;
  function train(contestants) {
    const { rate, seed } = settings;
    training.start(contestants.map((each) => ({ ...each, rate, seed })));
    panelOfTraining.scrollIntoView({ block: "nearest" });
  }

  function paintButtons() {
    if (!shown) return;
    const { change } = shown;
    const focused = document.activeElement === fixButton;
    fixButton.hidden = !change;
    if (change) fixButton.textContent = `Fix it: ${change.words}`;
    else if (focused) (full ? trainButton : form.querySelector("select, input")).focus();
    if (!full) return;
    trainButton.textContent = training.running() ? "Stop" : "Train it";
    raceButton.hidden = !rival() || training.running();
    raceButton.textContent = change ? "Race it against the fix" : "Race it against the start before";
  }

  let quiet = 0;
  function paint() {
    const { rows, theory, settings: of, change, fixed, range, verdict: faults } = shown;
    const { color, marker } = lookOf(of.init);
    const text = "var(--md-default-fg-color)";
    for (const [name, chart] of Object.entries(charts)) {
      const column = name === "signal" ? "rms" : "gradient";
      const values = rows.map((row) => row[column]);
      const series = [];
      if (range) series.push({ kind: "band", color, values: range[name] });
      if (fixed) series.push({ kind: "thin", color: lookOf(change.settings.init).color, values: fixed[name], faint: true });
      if (name === "signal") series.push({ kind: "std", color, values: rows.map((row) => row.std), faint: true });
      series.push({ kind: "dots", color, marker, values }, { kind: "theory", color: text, values: theory[name] });
      const none = values.every((value) => value === 0) ? "zero in every layer" : "";
      chart.draw(series, {
        xs: [1, of.depth],
        note: none,
        says: none || `layer 1 ${number(values[0])}, layer ${of.depth} ${number(values.at(-1))}; theory ${number(theory[name][0])} and ${number(theory[name].at(-1))}`,
      });
    }
    paintVerdict(faults, doubts(of, rows));
    paintButtons();
    paintLegend(of, change, range);
    for (const extra of extras) extra.paint?.(shown, color);
    root.dataset.milliseconds = shown.milliseconds.toFixed(1);
    root.dataset.shown = toQuery(of) || "?";
    clearTimeout(quiet);
    quiet = setTimeout(() => (spoken.textContent = `${titleOf(of)}: ${verdict.textContent}`), QUIET);
  }

  function paintVerdict(faults, doubt) {
    const line = (title, words) => html("li", {}, html("strong", {}, `${title}: `), `${words}.`);
    const well = doubt ? line("Sizes are right", doubt) : line("Healthy", "signal and gradient arrive, and the units differ");
    verdict.replaceChildren(html("ul", {}, ...(faults.length ? faults.map(({ kind, words }) => line(capital(kind), words)) : [well])));
  }

  function paintLegend(of, change, range) {
    const { color, marker } = lookOf(of.init);
    const text = "var(--md-default-fg-color)";
    const entries = [
      [key("dots", color, marker), `${titleOf(of)}, measured`],
      [key("theory", text), "theory"],
      [key("std", color), "std over the batch"],
      [key("band", color), range ? `range over ${range.draws} draws` : "range over draws"],
    ];
    if (change) entries.push([key("thin", lookOf(change.settings.init).color), `theory with ${change.words}`]);
    legend.replaceChildren(...entries.map(([sign, words]) => html("span", {}, sign, words)));
  }

  root.replaceChildren(frame);
  adopt(settings);
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

// Settings to start from; the list goes back to its first line, because a setting is no preset once it is changed.
function presets() {
  const input = html("select", { id: "pg-preset", name: "preset" }, html("option", { value: "" }, "choose …"),
    ...Object.keys(PRESETS).map((title) => html("option", {}, title)));
  input.addEventListener("change", () => setTimeout(() => (input.value = "")));
  return html("div", { class: "pg-field" }, html("label", { for: "pg-preset" }, "Examples"), input);
}

// The share of flat entries and of dead units, and histograms of signal and gradient.
function flatAndHistograms(body) {
  const flat = new Chart("Flat entries by layer", { width: 440, height: 180, y: [0, 1] });
  const svgs = [0, 1].map(() => element("svg", { viewBox: "0 0 440 130", role: "img", class: "pg-chart", "aria-label": "Histograms by layer" }));
  const flatKey = html("p", { class: "pg-legend" });
  body.append(
    html("div", { class: "pg-charts" },
      panel("h2", "Histograms by layer: signal above, gradient below", ...svgs),
      panel("h2", "Closed: slope below 1/20 of the steepest", flat.svg, flatKey),
    ),
  );
  return {
    paint({ rows, signals, gradients, panels, settings }, color) {
      const shares = (name) => rows.map((row) => row[name]);
      flat.draw(
        [
          { kind: "area", color, values: shares("flat") },
          { kind: "dead", color: "var(--md-default-fg-color)", values: shares("dead") },
        ],
        { xs: [1, settings.depth], says: `flat ${percent(rows[0].flat)} in layer 1, ${percent(rows.at(-1).flat)} in the last; dead units ${percent(rows.at(-1).dead)} in the last` },
      );
      flatKey.replaceChildren(
        html("span", {}, key("band", color), "dead or saturated entries"),
        html("span", {}, key("dead", "var(--md-default-fg-color)"), "units zero for every input"),
      );
      [signals, gradients].forEach((found, i) => {
        const cells = found.map((each, p) => ({ ...each, title: `layer ${panels[p] + 1}`, note: `rms ${number(each.rms)}` }));
        histograms(svgs[i], cells, color, { says: `${i ? "Gradient" : "Signal"}: ${cells.map(({ title, note, zeros }) => `${title} ${note}, ${percent(zeros)} zeros`).join("; ")}` });
      });
    },
  };
}

// All of it as a table.
function numbers(body) {
  const rows = html("tbody");
  const columns = ["Layer", "Signal rms", "theory", "std over inputs", "Gradient rms", "theory", "flat", "dead units"];
  const table = html("table", {}, html("thead", {}, html("tr", {}, ...columns.map((name) => html("th", { scope: "col" }, name)))), rows);
  const details = html("details", { class: "pg-numbers" }, html("summary", {}, "Numbers by layer"),
    html("div", { class: "pg-scroll", tabindex: 0, role: "region", "aria-label": "Numbers by layer" }, table));
  let latest = null;
  const fill = () => {
    if (!details.open || !latest) return;
    const { theory } = latest;
    rows.replaceChildren(
      ...latest.rows.map((row, l) =>
        html("tr", {}, html("th", { scope: "row" }, l + 1),
          ...[row.rms, theory.signal[l], row.std, row.gradient, theory.gradient[l]].map((value) => html("td", {}, number(value))),
          ...[row.flat, row.dead].map((share) => html("td", {}, percent(share)))),
      ),
    );
  };
  details.addEventListener("toggle", fill);
  body.append(details);
  return {
    paint(found) {
      latest = found;
      fill();
    },
  };
}
