// A fully connected network, forward and backward, in one arena.
//
// z_1 = x W_1 + b_1,   v_l = z_l or LN(z_l),   a_l = f(v_l),
// z_{l+1} = a_l W_{l+1} + b_{l+1} (+ z_l where it is residual).
// A head, if there is one, is the last product alone. Sizes are multiples of four.

import { ACTIVATIONS } from "./activations.js";
import { addRow, multiply, normalize, normalizeBackward, pack, packTransposed, transpose } from "./linear.js";
import { distributionOf, drawBias, unitWeights } from "./distributions.js";

// One layer's weights (fanIn, fanOut), as in x @ W: `scale` times `weight`.
export function drawLayer(settings, layer, fanIn, fanOut, used = fanOut) {
  const { kind, std, bias } = distributionOf(settings, fanIn, used);
  let weight = unitWeights(kind, settings.seed, layer, fanIn, used);
  if (used < fanOut) {
    // Columns that only fill the last four up stay zero.
    const padded = new Float32Array(fanIn * fanOut);
    for (let i = 0; i < fanIn; i++) padded.set(weight.subarray(i * used, (i + 1) * used), i * fanOut);
    weight = padded;
  }
  const drawn = bias ? drawBias(bias, settings.seed, layer, used) : null;
  return { fanIn, fanOut, weight, scale: std, bias: drawn, gamma: null, beta: null };
}

// Places for a batch of `m`. Without `train`, the places keep only the input of the backward pass.
export function layOut(arena, net, m, train) {
  const widest = Math.max(...net.layers.map(({ fanIn, fanOut }) => Math.max(fanIn, fanOut)));
  const packed = Math.max(...net.layers.map(({ fanIn, fanOut }) => fanIn * fanOut));
  const block = m * widest;
  const kept = (train ? 2 : 1) + (net.layerNorm ? 1 : 0);
  arena.reset(net.layers.length * (kept * block + m + 2) + 8 * block + 2 * packed + 64);
  const take = () => arena.take(block);
  const [even, odd] = [take(), take()];
  const layers = net.layers.map((_, index) => ({
    a: train ? take() : index % 2 ? odd : even,
    slope: take(),
    u: net.layerNorm ? take() : 0,
    inverse: net.layerNorm ? arena.take(m) : 0,
  }));
  const [weight, turned] = [arena.take(packed), arena.take(packed)];
  const [x, z, down, extra, flipped, strips] = [take(), take(), take(), take(), take(), take()];
  return { m, x, z, down, extra, flipped, strips, weight, turned, layers };
}

function product(arena, places, layer, from, to) {
  const { fanIn, fanOut, weight, scale, bias } = layer;
  pack(weight, 0, fanIn, fanOut, arena.mem, places.weight);
  multiply(arena.mem, places.m, fanOut, fanIn, from, places.weight, to, scale);
  if (bias) addRow(arena.mem, to, places.m, fanOut, bias);
}

// Run forward; `see(l, at)` is called with each layer's places: z (before a norm), a and slope.
// A generator: it yields between layers, for whoever has something else to do.
export function* forward(arena, net, places, see = () => {}) {
  const { mem } = arena;
  const { m } = places;
  let from = places.x;
  for (let l = 0; l < net.layers.length; l++) {
    const layer = net.layers[l];
    const { a, slope, u, inverse } = places.layers[l];
    if (net.head && l === net.layers.length - 1) {
      product(arena, places, layer, from, a);
      break;
    }
    const count = m * layer.fanOut;
    if (net.residual && l > 0) {
      product(arena, places, layer, from, places.extra);
      for (let i = 0; i < count; i++) mem[places.z + i] += mem[places.extra + i];
    } else product(arena, places, layer, from, places.z);
    let v = places.z;
    see(l, { z: places.z });
    if (net.layerNorm) {
      mem.copyWithin(u, places.z, places.z + count);
      normalize(mem, u, m, layer.fanOut, inverse);
      v = u;
      if (layer.gamma) {
        v = places.extra;
        for (let i = 0, n = layer.fanOut; i < count; i++)
          mem[v + i] = layer.gamma[i % n] * mem[u + i] + layer.beta[i % n];
      }
    }
    ACTIVATIONS[net.activation].apply(mem, v, a, slope, count);
    see(l, { a, slope });
    from = a;
    yield;
  }
}

// Run backward from the gradient in `places.down`, with respect to the last layer's output;
// `see(l, place)` gets the gradient with respect to z_l. `learn(l, gradients)`, if given, gets
// those of the parameters: arrays, the weight's in `places.weight`.
export function* backward(arena, net, places, see = () => {}, learn = null) {
  const { mem } = arena;
  const { m } = places;
  let [down, other] = [places.down, places.extra];
  for (let l = net.layers.length - 1; l >= 0; l--) {
    const layer = net.layers[l];
    const { slope, u, inverse } = places.layers[l];
    const [n, count] = [layer.fanOut, m * layer.fanOut];
    const isHead = net.head && l === net.layers.length - 1;
    const gradients = {};
    if (!isHead) {
      for (let i = 0; i < count; i++) mem[down + i] *= mem[slope + i];
      if (net.layerNorm) {
        if (layer.gamma) {
          gradients.gamma = columns(n, count, (i) => mem[down + i] * mem[u + i]);
          gradients.beta = columns(n, count, (i) => mem[down + i]);
          for (let i = 0; i < count; i++) mem[down + i] *= layer.gamma[i % n];
        }
        normalizeBackward(mem, down, m, n, u, inverse);
      }
      // What the sum above passed around this layer's branch, kept in z.
      const above = l + 1 < net.layers.length - (net.head ? 1 : 0);
      if (net.residual && above) for (let i = 0; i < count; i++) mem[down + i] += mem[places.z + i];
      if (net.residual) mem.copyWithin(places.z, down, down + count);
      see(l, down);
    }
    if (learn) gradients.bias = columns(n, count, (i) => mem[down + i]);
    if (l > 0) {
      packTransposed(layer.weight, 0, layer.fanIn, n, mem, places.turned);
      multiply(arena.mem, m, layer.fanIn, n, down, places.turned, other, layer.scale);
    }
    if (learn) {
      weightGradient(arena, net, places, l, down);
      learn(l, gradients);
    }
    [down, other] = [other, down];
    yield;
  }
}

// x^T g in `places.weight`, row by row as the weight is.
function weightGradient(arena, net, places, l, down) {
  const { mem } = arena;
  const { fanIn, fanOut } = net.layers[l];
  const below = l > 0 ? places.layers[l - 1].a : places.x;
  transpose(mem, below, places.m, fanIn, places.flipped);
  pack(mem, down, places.m, fanOut, mem, places.strips);
  multiply(arena.mem, fanIn, fanOut, places.m, places.flipped, places.strips, places.weight, 1);
}

function columns(n, count, value) {
  const sums = new Float64Array(n);
  for (let i = 0; i < count; i++) sums[i % n] += value(i);
  return sums;
}
