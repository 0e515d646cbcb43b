// What theory says about very wide networks: the recursion of initguide.propagate, and the same
// for LayerNorm, for residual sums, and for weights that are all equal.

import { ACTIVATIONS } from "./activations.js";
import { EPSILON } from "./linear.js";

// Gauss and Legendre's rule with ten nodes on [-1, 1], half of it.
const NODES = [0.14887433898163122, 0.4333953941292472, 0.6794095682990244, 0.8650633666889845, 0.9739065285171717];
const WEIGHTS = [0.2955242247147529, 0.26926671930999635, 0.21908636251598204, 0.1494513491505806, 0.06667134430868814];

// Panels end at zero, where the activations bend, and shrink toward it: with large weights,
// tanh changes only there.
const EDGES = [0, ...Array.from({ length: 25 }, (_, i) => 2 ** (i - 25))];
for (let edge = 0.5; edge <= 12; edge += 0.5) EDGES.push(edge);
const Z = [];
const DENSITY = [];
for (let p = 1; p < EDGES.length; p++) {
  const [middle, half] = [(EDGES[p] + EDGES[p - 1]) / 2, (EDGES[p] - EDGES[p - 1]) / 2];
  for (const side of [-1, 1])
    NODES.forEach((node, i) => {
      const z = middle + side * half * node;
      Z.push(z, -z);
      const density = (WEIGHTS[i] * half * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
      DENSITY.push(density, density);
    });
}

// The mean of g(z) for a standard normal z.
export function expectation(g) {
  let sum = 0;
  for (let i = 0; i < Z.length; i++) sum += DENSITY[i] * g(Z[i]);
  return sum;
}

const squared = (f, scale) => expectation((z) => f(scale * z) ** 2);

const gains = new Map();

// The factor that keeps the second moment, 1/sqrt(E f(z)²).
export function gain(activation) {
  if (!gains.has(activation)) gains.set(activation, squared(ACTIVATIONS[activation].f, 1) ** -0.5);
  return gains.get(activation);
}

// The factor that keeps a second moment of one, s with E f(s z)² = 1; where no
// factor does, as for tanh, the gain above.
export function unitGain(activation) {
  const { f } = ACTIVATIONS[activation];
  let [low, high] = [0, 8];
  if (squared(f, high) < 1) return gain(activation);
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2;
    if (squared(f, middle) < 1) low = middle;
    else high = middle;
  }
  return low;
}

// For each layer the rms of the signal and of the gradient, as measured in measure.js.
//
// `q` is the second moment of a pre-activation. A LayerNorm passes on q / (q + epsilon) of it, and
// divides the gradient by the same std. A residual sum adds to q what comes through the layer.
export function propagate(settings, [sigmaW, sigmaB]) {
  const { f, df } = ACTIVATIONS[settings.activation];
  const [w, b] = [sigmaW * sigmaW, sigmaB * sigmaB];
  const [moments, activations, slopes] = [[], [], []];
  let q = w + b;
  for (let layer = 0; layer < settings.depth; layer++) {
    const spread = settings.layerNorm ? q + EPSILON : 1;
    const scale = Math.sqrt(q / spread);
    moments.push(q);
    activations.push(squared(f, scale));
    slopes.push(squared(df, scale) / spread);
    q = w * activations[layer] + b + (settings.residual ? q : 0);
  }
  const gradients = [];
  for (let layer = settings.depth - 1, above = null; layer >= 0; layer--) {
    const through = above === null ? slopes[layer] : above * w * slopes[layer];
    above = settings.residual && above !== null ? above + through : through;
    gradients[layer] = above;
  }
  return { signal: (settings.residual ? moments : activations).map(Math.sqrt), gradient: gradients.map(Math.sqrt) };
}

// The same for weights that are all `value`: each input has one number in all units of a layer,
// the first a sum of `width` normals. After a LayerNorm that number is zero.
export function propagateEqual(settings, value) {
  const { f, df } = ACTIVATIONS[settings.activation];
  const { width, depth, layerNorm, residual } = settings;
  const total = width * value;
  let z = Z.map((normal) => normal * value * Math.sqrt(width));
  const mean = (values, power = 2) => values.reduce((sum, x, i) => sum + DENSITY[i] * x ** power, 0);
  const [signal, slopes] = [[], []];
  for (let layer = 0; layer < depth; layer++) {
    const a = z.map((x) => f(layerNorm ? 0 : x));
    slopes.push(z.map((x) => df(layerNorm ? 0 : x)));
    signal.push(Math.sqrt(mean(residual ? z : a)));
    z = a.map((x, i) => total * x + (residual ? z[i] : 0));
  }
  // The gradient's mean over the units, as a factor of its first value, and what differs.
  const gradient = [];
  const top = mean(slopes[depth - 1]);
  let [common, apart] = [slopes[depth - 1], top * (1 - 1 / width)];
  if (layerNorm) {
    // It takes the mean away, and multiplies by 1/sqrt(epsilon).
    common = common.map(() => 0);
    apart /= EPSILON;
  }
  gradient[depth - 1] = Math.sqrt(mean(common) / width + apart);
  for (let layer = depth - 2; layer >= 0; layer--) {
    const stays = residual ? 1 : 0;
    common = common.map((x, i) => x * (stays + (layerNorm ? 0 : total * slopes[layer][i])));
    apart *= stays;
    gradient[layer] = Math.sqrt(mean(common) / width + apart);
  }
  return { signal, gradient };
}
