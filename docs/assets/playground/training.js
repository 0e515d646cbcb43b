// Train on the digits by plain gradient descent, as initguide.experiments.train does.

import { backward, drawLayer, forward, layOut } from "./network.js";
import { stream } from "./random.js";

const CLASSES = 10;
const FEATURES = 64;
// Columns come in fours; the last two of the head stay zero and count for nothing.
const HEAD = 12;
const ORDER = (1 << 20) + 2;

// Pixels from 0 to 16 and labels, training images first, as the build wrote them.
export function readDigits(bytes, { mean, std, training }) {
  const count = bytes.length / (FEATURES + 1);
  const x = Float64Array.from(bytes.subarray(count), (pixel) => (pixel - mean) / std);
  return { x, y: bytes.subarray(0, count), training, count };
}

// The network that learns them: as in network.js, with a head, and with all that is trained.
export function learner(settings) {
  const { width, depth, layerNorm } = settings;
  const sizes = [FEATURES, ...Array(depth).fill(width), HEAD];
  const layers = Array.from({ length: depth + 1 }, (_, l) => {
    const head = l === depth;
    const layer = drawLayer(settings, l + 1, sizes[l], sizes[l + 1], head ? CLASSES : width);
    layer.weight = Float64Array.from(layer.weight, (unit) => unit * layer.scale);
    layer.scale = 1;
    const bias = new Float64Array(sizes[l + 1]);
    if (layer.bias) bias.set(layer.bias);
    const norm = layerNorm && !head;
    return { ...layer, bias, gamma: norm ? new Float64Array(width).fill(1) : null, beta: norm ? new Float64Array(width) : null };
  });
  return { ...settings, head: true, layers };
}

// One step on the images of these indices; returns the loss before it.
export function* step(arena, net, places, data, indices, rate) {
  load(arena.mem, places.x, data.x, indices);
  yield* forward(arena, net, places);
  const logits = places.layers.at(-1).a;
  const loss = crossEntropy(arena.mem, logits, places.down, indices, data.y);
  yield* backward(arena, net, places, undefined, (l, { bias, gamma, beta }) => {
    const layer = net.layers[l];
    const { weight } = layer;
    // The layers below are reached through this weight: backward has used it by now.
    for (let i = 0; i < weight.length; i++) weight[i] -= rate * arena.mem[places.weight + i];
    for (const [name, gradient] of Object.entries({ bias, gamma, beta }))
      gradient?.forEach((value, i) => (layer[name][i] -= rate * value));
  });
  return loss;
}

function load(mem, at, x, indices) {
  indices.forEach((index, i) => mem.set(x.subarray(index * FEATURES, (index + 1) * FEATURES), at + i * FEATURES));
}

// The mean loss; its gradient goes to `down`.
function crossEntropy(mem, logits, down, indices, y) {
  let loss = 0;
  const m = indices.length;
  indices.forEach((index, i) => {
    const [row, to] = [logits + i * HEAD, down + i * HEAD];
    const most = Math.max(...mem.subarray(row, row + CLASSES));
    let sum = 0;
    for (let j = 0; j < CLASSES; j++) sum += mem[to + j] = Math.exp(mem[row + j] - most);
    loss -= mem[row + y[index]] - most - Math.log(sum);
    for (let j = 0; j < HEAD; j++)
      mem[to + j] = j < CLASSES ? (mem[to + j] / sum - (j === y[index] ? 1 : 0)) / m : 0;
  });
  return loss / m;
}

// The share of held-out images that are read right; NaN where the outputs are.
export function* accuracy(arena, net, places, data) {
  let right = 0;
  for (let first = data.training; first < data.count; first += places.m) {
    const indices = Array.from({ length: places.m }, (_, i) => Math.min(first + i, data.count - 1));
    load(arena.mem, places.x, data.x, indices);
    yield* forward(arena, net, places);
    for (let i = 0; i < places.m && first + i < data.count; i++) {
      const row = places.layers.at(-1).a + i * HEAD;
      const scores = arena.mem.subarray(row, row + CLASSES);
      if (scores.some(Number.isNaN)) return NaN;
      right += scores.indexOf(Math.max(...scores)) === data.y[first + i];
    }
  }
  return right / (data.count - data.training);
}

// Indices without end, each image once an epoch; what does not fill a batch is left.
export function* batches(count, size, seed) {
  const next = stream(seed, ORDER);
  const order = Array.from({ length: count }, (_, i) => i);
  for (;;) {
    for (let i = count - 1; i > 0; i--) {
      const j = next() % (i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    for (let first = 0; first + size <= count; first += size) yield order.slice(first, first + size);
  }
}

// Train and report { step, loss, accuracy } through `tell`: each loss, the accuracy now and then.
export function* train(arena, settings, data, { rate, steps, size = 48, every = 10 }, tell) {
  const net = learner(settings);
  const places = layOut(arena, net, size, true);
  const order = batches(data.training, size, settings.seed);
  tell({ step: 0, accuracy: yield* accuracy(arena, net, places, data) });
  for (let at = 1; at <= steps; at++) {
    const loss = yield* step(arena, net, places, data, order.next().value, rate);
    const finite = Number.isFinite(loss);
    const point = { step: at, loss };
    if (at % every === 0 || at === steps || !finite) point.accuracy = yield* accuracy(arena, net, places, data);
    tell(point);
    if (!finite) return;
  }
}
