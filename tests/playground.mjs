// Runs the playground's modules for test_playground*.py: a list of calls in, their answers out.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const load = (name) => import(new URL(name, folder));
const [{ ACTIVATIONS, erfc }, linear, distributions, measuring, random, theory, training, snippets, net, fixing] =
  await Promise.all(
    ["activations", "linear", "distributions", "measure", "random", "theory", "training", "snippet", "network", "fix"].map(
      (name) => load(`${name}.js`),
    ),
  );

const drain = (generator) => {
  let step;
  do step = generator.next();
  while (!step.done);
  return step.value;
};
const layerOf = ({ fanIn, fanOut, weight, bias }) => ({
  fanIn,
  fanOut,
  weight: Float64Array.from(weight),
  scale: 1,
  bias: bias ? Float64Array.from(bias) : null,
  gamma: null,
  beta: null,
});
const plainArrays = (key, value) => {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  // JSON has no word for these.
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
};

const CALLS = {
  activations: ({ z }) =>
    Object.fromEntries(
      Object.entries(ACTIVATIONS).map(([name, { f, df, apply, steepest }]) => {
        const mem = Float64Array.from([...z, ...z, ...z]);
        apply(mem, 0, z.length, 2 * z.length, z.length);
        const [, values, slopes] = [0, 1, 2].map((i) => mem.slice(i * z.length, (i + 1) * z.length));
        return [name, { f: z.map(f), df: z.map(df), values, slopes, steepest, gain: theory.gain(name), unitGain: theory.unitGain(name) }];
      }),
    ),
  erfc: ({ x }) => x.map(erfc),
  multiply: ({ m, n, k, a, b, alpha }) => {
    const arena = new linear.Arena();
    arena.reset(m * k + k * n + m * n);
    const [left, right, out] = [arena.take(m * k), arena.take(k * n), arena.take(m * n)];
    arena.mem.set(a, left);
    linear.pack(b, 0, k, n, arena.mem, right);
    linear.multiply(arena.mem, m, n, k, left, right, out, alpha);
    return arena.mem.slice(out, out + m * n);
  },
  distribution: ({ settings, fanIn, fanOut }) => distributions.distributionOf(settings, fanIn, fanOut),
  draw: ({ kind, seed, layer, fanIn, fanOut }) => distributions.unitWeights(kind, seed, layer, fanIn, fanOut),
  bias: ({ bound, seed, layer, fanOut }) => distributions.drawBias(bound, seed, layer, fanOut),
  haar: ({ n, seeds }) => seeds.map((seed) => random.haar(n, random.stream(seed, 1))),
  predict: ({ settings }) => measuring.predict(settings),
  measure: ({ settings }) => drain(measuring.measure(new linear.Arena(), settings)),
  network: ({ settings, layers, inputs, gradients }) =>
    drain(
      measuring.measureNetwork(new linear.Arena(), { ...settings, head: false, layers: layers.map(layerOf) }, { inputs, gradients }),
    ),
  snippets: ({ all }) => all.map(snippets.snippet),
  fix: ({ all }) => all.map((settings) => fixing.fixFor(settings)),
  digits: ({ path, constants }) => training.readDigits(new Uint8Array(readFileSync(path)), constants),
  train: ({ settings, path, constants, batches, rate }) => {
    const data = training.readDigits(new Uint8Array(readFileSync(path)), constants);
    const learner = training.learner(settings);
    const before = structuredClone(learner.layers);
    const arena = new linear.Arena();
    const places = net.layOut(arena, learner, batches[0].length, true);
    const losses = batches.map((indices) => drain(training.step(arena, learner, places, data, indices, rate)));
    return { before, after: learner.layers, losses, accuracy: drain(training.accuracy(arena, learner, places, data)) };
  },
  course: ({ settings, path, constants, options }) => {
    const points = [];
    const data = training.readDigits(new Uint8Array(readFileSync(path)), constants);
    drain(training.train(new linear.Arena(), settings, data, options, (point) => points.push(point)));
    return points;
  },
};

const calls = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(calls.map(([name, options]) => CALLS[name](options)), plainArrays));
