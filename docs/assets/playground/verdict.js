// A verdict in words, by the rules of initguide.measure: products over layers, not single factors.

import { factors, number, percent } from "./numbers.js";
import { ACTIVATION_TITLES } from "./settings.js";

// By how much sizes may differ over a whole network.
const LIMIT = 100;
const SATURATED = 0.5;
const SATURATING = ["tanh", "sigmoid"];

// Where a sequence of sizes, relative to a level of one, leaves it for good, and by which factor.
export function drift(levels) {
  const logs = levels.map((level) => Math.log(Math.min(Math.max(level, 1e-300), 1e300)));
  const last = logs.at(-1);
  if (!logs.length || Math.abs(last) <= Math.log(LIMIT)) return null;
  // Shares of the way: noise at both ends of it must not decide where it begins.
  const done = logs.map((log) => log / last);
  let start = 1 + done.findLastIndex((share) => share < 0.1);
  let end = done.findIndex((share, i) => share > 0.9 || i === done.length - 1);
  const margin = Math.max(end - start, 0) / 8;
  start = Math.max(Math.round(start - margin), 0);
  end = Math.min(Math.round(end + margin), done.length - 1);
  const steps = Math.max(end - start + 1, 1);
  return { start, total: Math.exp(last), factor: Math.exp(last / steps) };
}

// What is wrong, causes first: a list of { kind, words }, empty where all is well.
export function judge(net, rows) {
  if (net.init === "zero")
    return [{ kind: "zero layer", words: "all weights are zero: nothing depends on the input, and no weight gets a gradient" }];
  const bad = rows.find((row) => ![row.rms, row.zRms, row.gradient].every(Number.isFinite));
  if (bad) return [{ kind: "non-finite values", words: `layer ${rows.indexOf(bad) + 1} overflows` }];
  const found = [...unitsOf(net, rows)];
  const up = signal(net, rows);
  let down = gradient(net, rows);
  if (up.some(({ kind }) => kind === "residual sums grow"))
    down = down.filter(({ kind }) => kind !== "gradient explodes");
  return [...found, ...up, ...ignored(net, rows), ...down];
}

// What makes training slow where nothing is wrong with the sizes; empty if that is well too.
export function doubts(net, rows) {
  const { rms, std, dead } = rows.at(-1);
  const found = [];
  if (std < 0.2 * rms) found.push(`the std over the batch is ${number(std)} of an rms of ${number(rms)}`);
  if (dead > 0.25) found.push(`${percent(dead)} of the units are zero for every input`);
  return found.length ? `signal and gradient arrive. But at layer ${rows.length}: ${found.join(", and ")}` : "";
}

function* unitsOf(net, rows) {
  const hidden = rows.slice(0, -1);
  if (net.activation === "relu") {
    const most = 0.5 + 2 / Math.sqrt(net.width);
    const layer = rows.findIndex((row) => row.dead >= most);
    if (layer >= 0)
      yield {
        kind: "dead units",
        words: `${percent(rows[layer].dead)} of the units of layer ${layer + 1} are zero for every input`,
      };
  }
  if (net.init === "constant" && hidden.length)
    yield {
      kind: "symmetric units",
      words: "the units of a layer are copies of each other, get the same gradient and stay copies",
    };
  if (SATURATING.includes(net.activation)) {
    const layer = rows.findIndex((row) => row.flat > SATURATED);
    if (layer >= 0)
      yield {
        kind: "saturated units",
        words: `${percent(rows[layer].flat)} of layer ${layer + 1} is saturated, where the slope of ${ACTIVATION_TITLES[net.activation]} is nearly zero`,
      };
  }
}

function signal(net, rows) {
  // A norm sets the size anew in each layer.
  if (net.layerNorm) return [];
  // The inputs have an rms of one. A residual branch is judged by its own input.
  const below = rows.slice(0, -1);
  const levels = net.residual
    ? [rows[0].zRms, ...below.map((row) => row.aRms)]
    : below.map((row) => row.zRms);
  const found = drift(levels);
  if (!found) return [];
  const shrinks = found.total < 1;
  const kind = shrinks ? "signal vanishes" : net.residual ? "residual sums grow" : "signal explodes";
  return [{ kind, words: factors(found.factor, found.total) }];
}

function ignored(net, rows) {
  const hidden = rows.slice(0, -1);
  let start = hidden.length;
  while (start && hidden[start - 1].zRms && hidden[start - 1].zStd < hidden[start - 1].zRms / LIMIT) start--;
  if (start >= hidden.length) return [];
  return [
    {
      kind: "input ignored",
      words: `from layer ${start + 1} on all inputs give nearly the same: at layer ${hidden.length} the std over the batch is ${number(hidden.at(-1).zStd)}, the rms ${number(hidden.at(-1).zRms)}`,
    },
  ];
}

function gradient(net, rows) {
  // After a norm the scale of the weights cancels: gradient times size is what counts.
  const sizes = rows.slice(0, -1).map((row) => row.gradient * (net.layerNorm ? row.zRms : 1));
  const down = sizes.reverse();
  while (down.length && down[0] === 0) down.shift();
  const found = drift(down.slice(1).map((size) => size / down[0]));
  if (!found) return [];
  const shrinks = found.total < 1;
  return [
    {
      kind: shrinks ? "gradient vanishes" : "gradient explodes",
      words: `${factors(found.factor, found.total)}, on its way back`,
    },
  ];
}
