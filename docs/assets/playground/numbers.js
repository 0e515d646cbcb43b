// Numbers as they are read.

export const percent = (share) => `${Math.round(100 * share)} %`;

// Two digits, and a power of ten where the number is far from one.
export function number(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -2 && exponent < 4) return String(Number(value.toPrecision(2)));
  const [digits, power] = value.toExponential(0).split("e");
  return `${digits === "1" ? "" : `${digits}·`}10${superscript(Number(power))}`;
}

// What one layer multiplies a size by, and what all layers together do.
export const factors = (each, all) => `×${number(each)} per layer, ×${number(all)} in total`;

const SIGNS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
export const superscript = (power) => [...String(power)].map((sign) => SIGNS[sign]).join("");
