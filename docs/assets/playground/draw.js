// Small SVG charts in the style of the guide: dots for measurements, a dotted line for theory.

import { METHODS } from "./constants.js";
import { percent, superscript } from "./numbers.js";
import { INITS } from "./settings.js";

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// matplotlib's markers, as paths around the origin.
const MARKERS = {
  X: "M-4-2L-2-4L0-2L2-4L4-2L2 0L4 2L2 4L0 2L-2 4L-4 2L-2 0Z",
  s: "M-3-3H3V3H-3Z",
  o: "M-3.4 0A3.4 3.4 0 1 0 3.4 0A3.4 3.4 0 1 0-3.4 0Z",
  "^": "M0-4L3.8 3H-3.8Z",
  v: "M0 4L3.8-3H-3.8Z",
  P: "M-1.3-3.8H1.3V-1.3H3.8V1.3H1.3V3.8H-1.3V1.3H-3.8V-1.3H-1.3Z",
  D: "M0-4L4 0L0 4L-4 0Z",
  "*": "M0-4.5L1.1-1.5L4.3-1.4L1.7.6L2.6 3.6L0 1.8L-2.6 3.6L-1.7.6L-4.3-1.4L-1.1-1.5Z",
  "<": "M-4 0L3-3.8V3.8Z",
  ">": "M4 0L-3-3.8V3.8Z",
};
export const markerPath = (marker) => MARKERS[marker] ?? MARKERS.o;

// The colour and the marker that an initialization has in the guide's figures.
export const lookOf = (init) => METHODS[INITS[init][0]];

// A sign of the legend.
export function key(kind, color, marker) {
  const svg = element("svg", { viewBox: "0 0 30 12", class: "pg-key", "aria-hidden": "true" });
  if (kind === "band") svg.append(element("path", { d: "M0 1H30V11H0Z", fill: color, class: "pg-band" }));
  else svg.append(element("path", { d: "M1 6H29", stroke: color, class: `pg-line pg-${kind}` }));
  if (marker) svg.append(element("path", { d: markerPath(marker), fill: color, transform: "translate(15 6)" }));
  return svg;
}

// A logarithmic axis reaches so many decades up and down from one: the first that holds the values.
// It has few sizes, so that a line bends while a slider moves, and not the axis.
const REACHES = [1, 4, 10, 25, 100, 310];

const MARGIN = { left: 50, right: 12, top: 10, bottom: 30 };
const round = (x) => Math.round(100 * x) / 100;

// Powers of ten, at most six of them; plain numbers where the range is small.
function logTicks(low, high) {
  const [from, to] = [Math.ceil(low), Math.floor(high)];
  const step = Math.max(1, Math.ceil((to - from) / 5));
  const first = Math.ceil(from / step) * step;
  const ticks = [];
  for (let power = first; power <= to; power += step) ticks.push([power, powerLabel(power)]);
  if (ticks.length >= 2) return ticks;
  return [1, 2, 5].flatMap((digit) =>
    Array.from({ length: to - from + 3 }, (_, i) => from - 1 + i)
      .map((power) => [power + Math.log10(digit), String(Number((digit * 10 ** power).toPrecision(1)))])
      .filter(([at]) => at >= low && at <= high),
  );
}

const powerLabel = (power) => (power === 0 ? "1" : `10${superscript(power)}`);

function linearTicks(low, high, most = 6) {
  const raw = (high - low) / most;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((x) => x * unit).find((x) => x >= raw);
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high + 1e-9 * step; at += step)
    ticks.push([at, String(Number(at.toPrecision(6)))]);
  return ticks;
}

// A chart that can be drawn again. It keeps its size, so nothing on the page moves. `y` is "log" or [low, high].
export class Chart {
  constructor(label, { width = 440, height = 260, x = "layer", y = "log" } = {}) {
    Object.assign(this, { width, height, x, y, label });
    this.svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "pg-chart" });
    this.svg.setAttribute("aria-label", label);
  }

  // series: { kind, color, marker, values, at, faint }: the kind is a class, and `dots` have a marker,
  // a `band` two values per layer; `at` has the positions, if they are not 1, 2, …; faint series set no scale.
  draw(series, { xs, says = "", note = "" } = {}) {
    const { width, height, y } = this;
    const log = y === "log";
    const scaled = (value) => (log ? (value > 0 ? Math.log10(value) : NaN) : value);
    let [low, high] = log ? [Infinity, -Infinity] : y;
    if (log) {
      for (const { values, faint } of series)
        if (!faint)
          for (const value of values.flat()) {
            const at = scaled(value);
            if (Number.isFinite(at)) [low, high] = [Math.min(low, at), Math.max(high, at)];
          }
      const reach = REACHES.find((decades) => Math.max(-low, high) <= decades) ?? REACHES.at(-1);
      [low, high] = [-1.05 * reach, 1.05 * reach];
    }
    const [first, last] = xs;
    const across = (value) =>
      round(MARGIN.left + ((value - first) / Math.max(last - first, 1)) * (width - MARGIN.left - MARGIN.right));
    const up = (value) => {
      const share = (scaled(value) - low) / (high - low);
      return Number.isFinite(share)
        ? round(height - MARGIN.bottom - Math.min(Math.max(share, -0.5), 1.5) * (height - MARGIN.top - MARGIN.bottom))
        : NaN;
    };
    const back = element("g", { class: "pg-axes" });
    for (const [at, text] of log ? logTicks(low, high) : linearTicks(low, high, 5)) {
      const place = up(log ? 10 ** at : at);
      back.append(
        element("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: place, y2: place }),
        element("text", { x: MARGIN.left - 7, y: place + 4, "text-anchor": "end" }, text),
      );
    }
    for (const [at, text] of linearTicks(first, last)) {
      const place = across(at);
      back.append(element("text", { x: place, y: height - 12, "text-anchor": "middle" }, text));
    }
    back.append(
      element("text", { x: width - MARGIN.right, y: height, "text-anchor": "end", class: "pg-axis-name" }, this.x),
      element("path", { class: "pg-frame", d: `M${MARGIN.left} ${MARGIN.top}V${height - MARGIN.bottom}H${width - MARGIN.right}` }),
    );
    const clip = element("svg", {
      x: MARGIN.left - 5, y: MARGIN.top - 5, width: width - MARGIN.left - MARGIN.right + 10,
      height: height - MARGIN.top - MARGIN.bottom + 10, overflow: "hidden",
      viewBox: `${MARGIN.left - 5} ${MARGIN.top - 5} ${width - MARGIN.left - MARGIN.right + 10} ${height - MARGIN.top - MARGIN.bottom + 10}`,
    });
    clip.append(...series.flatMap((each) => shapes(each, across, up)));
    this.svg.replaceChildren(back, clip);
    if (note)
      this.svg.append(element("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "pg-note" }, note));
    this.svg.setAttribute("aria-label", says ? `${this.label}: ${says}` : this.label);
  }
}

function shapes({ kind, color, marker, values, at }, across, up) {
  const x = (i) => across(at ? at[i] : i + 1);
  if (kind === "band") {
    const there = values.map(([low, high], i) => [x(i), up(low), up(high)]).filter((p) => p.every(Number.isFinite));
    if (!there.length) return [];
    const top = there.map(([left, , high]) => `${left} ${high}`);
    const bottom = there.map(([left, low]) => `${left} ${low}`).reverse();
    return [element("path", { d: `M${[...top, ...bottom].join("L")}Z`, fill: color, class: "pg-band" })];
  }
  if (kind === "area") {
    const points = values.map((value, i) => `${x(i)} ${up(value)}`);
    return [element("path", { d: `M${x(0)} ${up(0)}L${points.join("L")}L${x(values.length - 1)} ${up(0)}Z`, fill: color, class: "pg-area" })];
  }
  let [d, open] = ["", false];
  values.forEach((value, i) => {
    const place = up(value);
    if (Number.isFinite(place)) d += `${open ? "L" : "M"}${x(i)} ${place}`;
    open = Number.isFinite(place);
  });
  const made = [element("path", { d, stroke: color, class: `pg-line pg-${kind}` })];
  if (kind === "dots") {
    const stride = Math.max(Math.floor(values.length / 12), 1);
    for (let i = 0; i < values.length; i += stride) {
      const place = up(values[i]);
      if (Number.isFinite(place))
        made.push(element("path", { d: markerPath(marker), fill: color, transform: `translate(${x(i)} ${place})` }));
    }
  }
  return made;
}

// Histograms side by side, each in units of its own rms, zeros as a spike.
export function histograms(svg, panels, color, { reach, says }) {
  const [width, height, gap] = [440, 130, 10];
  const each = (width - gap * (panels.length - 1)) / panels.length;
  const children = panels.flatMap(({ bins, zeros, title, note }, i) => {
    const left = i * (each + gap);
    const bar = each / bins.length;
    const top = Math.max(...bins, 1e-9);
    const base = height - 34;
    const tall = (share) => round(((base - 18) * share) / top);
    let d = `M${round(left)} ${base}`;
    bins.forEach((share, b) => (d += `V${round(base - tall(share))}h${round(bar)}`));
    d += `V${base}Z`;
    const middle = round(left + each / 2);
    return [
      element("path", { d, fill: color, class: "pg-histogram" }),
      ...(zeros > 0 ? [element("path", { d: `M${middle} ${base}V14`, stroke: color, class: "pg-zeros" })] : []),
      element("path", { d: `M${round(left)} ${base}h${round(each)}`, class: "pg-frame" }),
      element("text", { x: middle, y: height - 18, "text-anchor": "middle" }, title),
      element("text", { x: middle, y: height - 4, "text-anchor": "middle" }, note),
      ...(zeros > 0
        ? [element("text", { x: middle, y: 10, "text-anchor": "middle" }, `${percent(zeros)} zero`)]
        : []),
    ];
  });
  svg.replaceChildren(...children);
  svg.setAttribute("aria-label", says);
}
