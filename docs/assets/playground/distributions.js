// The initializations: from which distribution the weights and biases of a layer are drawn.

import { haar, normals, stream, uniforms } from "./random.js";
import { gain } from "./theory.js";

const normal = (std) => ({ kind: "normal", std, bias: 0 });
const constant = (value) => ({ kind: "constant", std: value, bias: 0 });

// From fan_in, fan_out and the settings to the distribution; the std of a constant is its value.
const DISTRIBUTIONS = {
  zero: () => constant(0),
  constant: (fanIn) => constant(1 / fanIn),
  small: () => normal(0.01),
  large: () => normal(1),
  torch: (fanIn) => ({ kind: "uniform", std: (3 * fanIn) ** -0.5, bias: fanIn ** -0.5 }),
  lecun: (fanIn) => normal(fanIn ** -0.5),
  xavier: (fanIn, fanOut) => normal(Math.sqrt(2 / (fanIn + fanOut))),
  he: (fanIn) => normal(Math.sqrt(2 / fanIn)),
  orthogonal: (fanIn, fanOut, { activation }) => ({
    kind: "orthogonal",
    std: gain(activation) / Math.sqrt(Math.max(fanIn, fanOut)),
    bias: 0,
  }),
  gain: (fanIn, fanOut, settings) => normal(settings.gain / Math.sqrt(fanIn)),
};

export const distributionOf = (settings, fanIn, fanOut) => DISTRIBUTIONS[settings.init](fanIn, fanOut, settings);

// The parameters of the theory: sigma_w and sigma_b of a layer of equal fans.
export function sigmas(settings) {
  const { std, bias } = distributionOf(settings, settings.width, settings.width);
  return [std * Math.sqrt(settings.width), bias / Math.sqrt(3)];
}

// Draws of unit variance are kept: a slider that moves the scale needs no new ones.
const kept = new Map();
let held = 0;
const MOST_HELD = 12e6;

// Weights of shape (fanIn, fanOut), as in x @ W, of unit variance; multiply by the distribution's std.
export function unitWeights(kind, seed, layer, fanIn, fanOut) {
  const key = [kind, seed, layer, fanIn, fanOut].join();
  const known = kept.get(key);
  if (known) return known;
  const values = new Float32Array(fanIn * fanOut);
  const next = stream(seed, layer);
  if (kind === "constant") values.fill(1);
  else if (kind === "normal") normals(values, next);
  else if (kind === "uniform") uniforms(values, next);
  else {
    const n = Math.max(fanIn, fanOut);
    const q = haar(n, next);
    for (let i = 0; i < fanIn; i++)
      for (let j = 0; j < fanOut; j++) values[i * fanOut + j] = q[i * n + j] * Math.sqrt(n);
  }
  if (held + values.length > MOST_HELD) {
    kept.clear();
    held = 0;
  }
  kept.set(key, values);
  held += values.length;
  return values;
}

// Biases, uniform within the distribution's bound.
export function drawBias(bound, seed, layer, fanOut) {
  const values = uniforms(new Float64Array(fanOut), stream(seed, -layer));
  return values.map((value) => (value * bound) / Math.sqrt(3));
}
