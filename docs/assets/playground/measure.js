// Measure a freshly drawn network by layer, as initguide.experiments.signals_by_depth does:
// standard normal inputs go up, a standard normal gradient comes back from the last activation.

import { ACTIVATIONS } from "./activations.js";
import { sigmas } from "./distributions.js";
import { backward, drawLayer, forward, layOut } from "./network.js";
import { normals, stream } from "./random.js";
import { propagate, propagateEqual } from "./theory.js";
import { judge } from "./verdict.js";

const BINS = 41;
// Histograms reach from -REACH to REACH times the rms.
const REACH = 4;
const PANELS = 6;

// A slope below a twentieth of the steepest lets hardly any gradient through.
const FLAT = 1 / 20;

// Where in the stream of draws inputs and gradients are, away from the layers' weights.
const INPUTS = 1 << 20;
const GRADIENTS = INPUTS + 1;

const panelsOf = (depth) => {
  const count = Math.min(PANELS, depth);
  return Array.from({ length: count }, (_, i) => (count > 1 ? Math.round((i * (depth - 1)) / (count - 1)) : 0));
};

// A generator: it yields between layers and returns the measurements.
export function* measure(arena, settings) {
  const { width, depth, batch, seed } = settings;
  const net = { ...settings, head: false, layers: [] };
  for (let l = 1; l <= depth; l++) {
    net.layers.push(drawLayer(settings, l, width, width));
    yield;
  }
  return yield* measureNetwork(arena, net, {
    inputs: normals(new Float64Array(batch * width), stream(seed, INPUTS)),
    gradients: normals(new Float64Array(batch * width), stream(seed, GRADIENTS)),
  });
}

export function* measureNetwork(arena, net, { inputs, gradients }) {
  const { batch, width, depth, residual } = net;
  const places = layOut(arena, net, batch, false);
  const { mem } = arena;
  const panels = panelsOf(depth);
  const steepest = ACTIVATIONS[net.activation].steepest * FLAT;
  const rows = net.layers.map(() => ({}));
  const found = { panels, rows, signals: [], gradients: [] };

  mem.set(inputs, places.x);
  yield* forward(arena, net, places, (l, { z, a, slope }) => {
    const row = rows[l];
    if (a === undefined) [row.zRms, row.zStd] = spread(mem, z, batch, width);
    else {
      const [rms, std] = spread(mem, a, batch, width);
      row.aRms = rms;
      [row.rms, row.std] = residual ? [row.zRms, row.zStd] : [rms, std];
      [row.flat, row.dead] = flatShare(mem, slope, batch, width, steepest);
      if (panels.includes(l))
        found.signals.push(histogram(mem, residual ? places.z : a, batch * width, row.rms));
    }
  });
  mem.set(gradients, places.down);
  yield* backward(arena, net, places, (l, at) => {
    rows[l].gradient = spread(mem, at, batch, width)[0];
    if (panels.includes(l)) found.gradients.unshift(histogram(mem, at, batch * width, rows[l].gradient));
  });
  return { ...found, verdict: judge(net, rows) };
}

// Prediction by layer, and what theory needs to draw it.
export function predict(settings) {
  if (settings.init === "zero") return propagateEqual(settings, 0);
  if (settings.init === "constant") return propagateEqual(settings, 1 / settings.width);
  return propagate(settings, sigmas(settings));
}

// Root mean square, and the std over the batch: of each unit, squares averaged over units.
function spread(mem, at, m, n) {
  const count = m * n;
  let square = 0;
  const sums = new Float64Array(n);
  for (let i = 0, p = at; i < m; i++)
    for (let j = 0; j < n; j++, p++) {
      const x = mem[p];
      square += x * x;
      sums[j] += x;
    }
  // Squares of tiny or huge numbers leave the range of a double.
  if (square < 1e-280 || square > 1e280) return spreadScaled(mem, at, m, n);
  let between = 0;
  for (const sum of sums) between += (sum / m) ** 2;
  const variance = square / count - between / n;
  // A difference of two nearly equal sums has lost its digits.
  if (variance < (1e-4 * square) / count) {
    let apart = 0;
    for (let i = 0, p = at; i < m; i++) for (let j = 0; j < n; j++, p++) apart += (mem[p] - sums[j] / m) ** 2;
    return [Math.sqrt(square / count), Math.sqrt(apart / count)];
  }
  return [Math.sqrt(square / count), Math.sqrt(variance)];
}

function spreadScaled(mem, at, m, n) {
  let largest = 0;
  for (let i = at; i < at + m * n; i++) largest = Math.max(largest, Math.abs(mem[i]));
  if (largest === 0 || !Number.isFinite(largest)) return [largest, largest];
  const scaled = mem.slice(at, at + m * n).map((x) => x / largest);
  return spread(scaled, 0, m, n).map((x) => x * largest);
}

// The share of flat entries, and of units that are flat for every input.
function flatShare(mem, slope, m, n, least) {
  let flat = 0;
  const open = new Uint8Array(n);
  for (let i = 0, p = slope; i < m; i++)
    for (let j = 0; j < n; j++, p++) {
      if (Math.abs(mem[p]) <= least) flat++;
      else open[j] = 1;
    }
  return [flat / (m * n), 1 - open.reduce((sum, x) => sum + x, 0) / n];
}

// Shares of the values other than zero, by their size over the rms; and the share of zeros.
function histogram(mem, at, count, rms) {
  const bins = new Float32Array(BINS);
  let zeros = 0;
  const factor = rms > 0 ? BINS / (2 * REACH * rms) : 0;
  for (let i = at; i < at + count; i++) {
    if (mem[i] === 0) zeros++;
    else {
      // What lies further out is in no bin: typed arrays ignore such places.
      bins[Math.floor(mem[i] * factor + BINS / 2)]++;
    }
  }
  return { bins: bins.map((x) => x / count), zeros: zeros / count, rms };
}
