// One change that fixes a network: the first of a few that theory finds sound.

import { predict } from "./measure.js";
import { ACTIVATION_TITLES, titleOf } from "./settings.js";
import { unitGain } from "./theory.js";
import { drift } from "./verdict.js";

const SYMMETRIC = ["zero", "constant"];

// Whether signal and gradient arrive, in expectation.
function sound(settings) {
  if (SYMMETRIC.includes(settings.init)) return false;
  const { signal, gradient } = predict(settings);
  const down = [...gradient].reverse();
  return !drift(signal.map((size) => size / signal[0])) && !drift(down.map((size) => size / down[0]));
}

// The initialization that an activation needs.
function initializationFor(activation) {
  if (activation === "relu") return { init: "he" };
  if (["linear", "selu"].includes(activation)) return { init: "lecun" };
  return { init: "gain", gain: Number(unitGain(activation).toFixed(3)) };
}

// The changed settings and what changed, in words; null if nothing here helps.
export function fixFor(settings) {
  const { activation, depth, residual, layerNorm } = settings;
  // Sums over branches grow: each is divided by the root of their number.
  const branches = { init: "gain", gain: Number((Math.max(depth - 1, 1) ** -0.5).toFixed(3)) };
  const own = residual && !layerNorm ? branches : initializationFor(activation);
  const candidates = [
    own,
    { init: "lecun" },
    ...(activation === "sigmoid" ? [{ activation: "tanh", ...(residual && !layerNorm ? branches : initializationFor("tanh")) }] : []),
    { ...initializationFor(activation), layerNorm: true },
    { ...initializationFor(activation), layerNorm: true, residual: true },
  ];
  for (const change of candidates) {
    const changed = { ...settings, ...change };
    const same = Object.keys(change).every((key) => settings[key] === change[key]);
    if (!same && sound(changed)) return { settings: changed, words: inWords(settings, changed) };
  }
  return null;
}

function inWords(before, after) {
  const words = [];
  if (after.activation !== before.activation) words.push(ACTIVATION_TITLES[after.activation]);
  if (after.init !== before.init || after.gain !== before.gain)
    words.push(titleOf(after));
  if (after.layerNorm && !before.layerNorm) words.push("LayerNorm");
  if (after.residual && !before.residual) words.push("residual sums");
  return words.join(" and ");
}
