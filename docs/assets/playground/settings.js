// What can be chosen, and how it is written in the page's address.

export const DEFAULTS = {
  activation: "relu",
  init: "xavier",
  gain: 1,
  depth: 20,
  width: 64,
  layerNorm: false,
  residual: false,
  batch: 128,
  seed: 0,
  rate: 0.01,
};
export const ACTIVATION_TITLES = {
  linear: "linear",
  relu: "ReLU",
  leaky_relu: "leaky ReLU",
  tanh: "tanh",
  sigmoid: "sigmoid",
  gelu: "GELU",
  silu: "SiLU",
  elu: "ELU",
  selu: "SELU",
};
// The title is the name of the method in the guide's figures; the label adds its formula.
export const INITS = {
  zero: ["Zero", "Zero"],
  constant: ["Constant", "Constant, 1/fan_in"],
  small: ["std 0.01", "Normal, std 0.01"],
  large: ["std 1.0", "Normal, std 1"],
  torch: ["PyTorch default", "PyTorch default"],
  lecun: ["LeCun", "LeCun, 1/√fan_in"],
  xavier: ["Xavier", "Xavier"],
  he: ["He", "He, √2/√fan_in"],
  orthogonal: ["Orthogonal", "Orthogonal, own gain"],
  gain: ["Gain", "Gain on a slider"],
};
// What an initialization is called where its gain is of interest.
export const titleOf = ({ init, gain }) => (init === "gain" ? `gain ${gain}` : INITS[init][0]);

export const RANGES = {
  gain: { min: 0, max: 3, step: 0.001 },
  depth: { min: 2, max: 100, step: 1 },
  width: { min: 8, max: 256, step: 4 },
};
export const BATCHES = [32, 64, 128, 256];
// Learning rates, four in each decade.
export const RATES = Array.from({ length: 17 }, (_, i) => Number((10 ** (i / 4 - 4)).toPrecision(2)));
export const nearestRate = (value) => RATES[Math.min(Math.max(Math.round(4 * (Math.log10(value) + 4)), 0), RATES.length - 1)];
export const SEEDS = 2 ** 31;

// Settings that show something, by title.
export const PRESETS = {
  "Xavier under ReLUs": {},
  "PyTorch's default, 50 layers": { init: "torch", depth: 50 },
  "Sigmoid trap": { activation: "sigmoid" },
  "tanh at the edge of chaos": { activation: "tanh", init: "lecun", depth: 50 },
  "He with LayerNorm": { init: "he", layerNorm: true, depth: 50 },
  "Residual sums grow": { init: "he", residual: true, depth: 50 },
  "Residual sums, scaled by 1/√depth": { init: "gain", gain: 0.143, residual: true, depth: 50 },
};

const CHOICES = { activation: ACTIVATION_TITLES, init: INITS };

// What a text can mean for a setting; undefined where it means nothing.
function valueOf(name, text) {
  if (name in CHOICES) return Object.hasOwn(CHOICES[name], text) ? text : undefined;
  if (typeof DEFAULTS[name] === "boolean") return { 1: true, 0: false }[text];
  const value = Number(text);
  if (text === "" || !Number.isFinite(value)) return undefined;
  if (name === "batch") return BATCHES.includes(value) ? value : undefined;
  if (name === "seed") return Number.isInteger(value) && value >= 0 && value < SEEDS ? value : undefined;
  if (name === "rate") return value > 0 ? nearestRate(value) : undefined;
  const { min, max, step } = RANGES[name];
  const near = Math.min(Math.max(value, min), max);
  return Number((min + Math.round((near - min) / step) * step).toFixed(3));
}

// From an address's query to settings: a missing or senseless value becomes the default.
export function fromQuery(query, defaults = DEFAULTS) {
  const found = new URLSearchParams(query);
  const settings = { ...defaults };
  for (const name of Object.keys(DEFAULTS)) {
    const value = found.has(name) ? valueOf(name, found.get(name)) : undefined;
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

// What a query asks for and does not get: a value without a meaning, or beyond a setting's range.
export function refused(query) {
  const beyond = (name, text) => {
    const { min, max } = name === "rate" ? { min: RATES[0] / 2, max: 2 * RATES.at(-1) } : (RANGES[name] ?? {});
    return Number(text) < min || Number(text) > max;
  };
  return [...new URLSearchParams(query)]
    .filter(([name, text]) => Object.hasOwn(DEFAULTS, name) && (valueOf(name, text) === undefined || beyond(name, text)))
    .map(([name, text]) => `${name} “${text.length > 30 ? `${text.slice(0, 30)}…` : text}”`);
}

// The query holds what differs from the defaults.
export function toQuery(settings) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(DEFAULTS))
    if (settings[name] !== value && (name !== "gain" || settings.init === "gain"))
      query.set(name, typeof value === "boolean" ? Number(settings[name]) : settings[name]);
  const text = query.toString();
  return text ? `?${text}` : "";
}
