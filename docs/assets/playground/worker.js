// Computes off the page's thread. Two jobs, each in its own worker: measuring and training.

import { Arena } from "./linear.js";
import { measure, predict } from "./measure.js";
import { fixFor } from "./fix.js";
import { readDigits, train } from "./training.js";

const arena = new Arena();
const DRAWS = 5;
// Milliseconds between looks at whether something newer was asked for.
const BREATH = 12;

let wanted = null;
let busy = false;

self.onmessage = ({ data }) => {
  wanted = data;
  if (!busy) work();
};

async function work() {
  busy = true;
  while (wanted) {
    const order = wanted;
    wanted = null;
    if (order.job === "train") await teach(order);
    else if (order.job === "measure") await look(order);
  }
  busy = false;
}

function drain(generator) {
  let step;
  do step = generator.next();
  while (!step.done);
  return step.value;
}

// Run a generator to its end, unless something newer is wanted.
async function drive(generator) {
  let last = performance.now();
  for (;;) {
    const { done, value } = generator.next();
    if (done) return value;
    if (performance.now() - last > BREATH) {
      await breath();
      if (wanted) return null;
      last = performance.now();
    }
  }
}

const channel = new MessageChannel();
const breath = () =>
  new Promise((resume) => {
    channel.port1.onmessage = resume;
    channel.port2.postMessage(null);
  });

async function look({ id, settings }) {
  const started = performance.now();
  const found = drain(measure(arena, settings));
  const change = found.verdict.length ? fixFor(settings) : null;
  const answer = { id, settings, ...found, theory: predict(settings), change };
  if (change) answer.fixed = predict(change.settings);
  answer.milliseconds = performance.now() - started;
  self.postMessage({ kind: "measured", ...answer });
  // Other draws of the same distribution give the band, until a newer question comes.
  const draws = [found.rows];
  for (let seed = settings.seed + 1; seed < settings.seed + DRAWS; seed++) {
    const other = await drive(measure(arena, { ...settings, seed }));
    if (!other) return;
    draws.push(other.rows);
  }
  const range = (name) =>
    found.rows.map((_, l) => {
      const values = draws.map((rows) => rows[l][name]);
      return [Math.min(...values), Math.max(...values)];
    });
  self.postMessage({ kind: "range", id, draws: DRAWS, signal: range("rms"), gradient: range("gradient") });
}

let digits = null;

async function teach({ id, settings, options, data, constants }) {
  digits ??= fetch(data)
    .then((answer) => answer.arrayBuffer())
    .then((buffer) => readDigits(new Uint8Array(buffer), constants));
  let points = [];
  let told = performance.now();
  const tell = (point) => {
    points.push(point);
    if (performance.now() - told > 60) flush();
  };
  const flush = () => {
    if (points.length) self.postMessage({ kind: "trained", id, points });
    points = [];
    told = performance.now();
  };
  await drive(train(arena, settings, await digits, options, tell));
  flush();
  self.postMessage({ kind: "done", id });
}
