// The activations: each a function with its slope, exact to floating point, and a fast loop.

const SELU_SCALE = 1.0507009873554805;
const SELU_ALPHA = 1.6732632423543772;

// One straight line on each side of zero.
const rectifier = (torch, slope) => ({
  torch,
  f: (z) => (z > 0 ? z : slope * z),
  df: (z) => (z > 0 ? 1 : slope),
  steepest: 1,
  apply(mem, from, a, d, count) {
    for (let i = 0; i < count; i++) {
      const z = mem[from + i];
      const open = z > 0 ? 1 : slope;
      mem[d + i] = open;
      mem[a + i] = open * z;
    }
  },
});

// A function whose slope follows cheaply from z and f(z).
const smooth = (torch, steepest, f, slope) => ({
  torch,
  f,
  df: (z) => slope(z, f(z)),
  steepest,
  apply(mem, from, a, d, count) {
    for (let i = 0; i < count; i++) {
      const z = mem[from + i];
      const value = f(z);
      mem[a + i] = value;
      mem[d + i] = slope(z, value);
    }
  },
});

const logistic = (z) => 1 / (1 + Math.exp(-z));

export const ACTIVATIONS = {
  linear: rectifier("nn.Identity()", 1),
  relu: rectifier("nn.ReLU()", 0),
  leaky_relu: rectifier("nn.LeakyReLU()", 0.01),
  tanh: smooth("nn.Tanh()", 1, Math.tanh, (z, a) => 1 - a * a),
  sigmoid: smooth("nn.Sigmoid()", 0.25, logistic, (z, a) => a * (1 - a)),
  gelu: {
    torch: "nn.GELU()",
    f: (z) => z * normalCdf(z),
    df: (z) => normalCdf(z) + z * normalDensity(z),
    // Where z² = 2.
    steepest: 1.1289041,
    apply(mem, from, a, d, count) {
      for (let i = 0; i < count; i++) {
        const z = mem[from + i];
        const bell = Math.exp((-z * z) / 2);
        const below = complement(-z / Math.SQRT2, bell) / 2;
        mem[a + i] = z * below;
        mem[d + i] = below + z * (bell / ROOT);
      }
    },
  },
  silu: smooth(
    "nn.SiLU()",
    1.0998393,
    (z) => z * logistic(z),
    (z, a) => {
      const s = logistic(z);
      return s + a * (1 - s);
    },
  ),
  elu: smooth("nn.ELU()", 1, (z) => (z > 0 ? z : Math.expm1(z)), (z, a) => (z > 0 ? 1 : a + 1)),
  selu: smooth(
    "nn.SELU()",
    SELU_SCALE * SELU_ALPHA,
    (z) => SELU_SCALE * (z > 0 ? z : SELU_ALPHA * Math.expm1(z)),
    (z, a) => (z > 0 ? SELU_SCALE : a + SELU_SCALE * SELU_ALPHA),
  ),
};

const ROOT = Math.sqrt(2 * Math.PI);
const normalDensity = (z) => Math.exp((-z * z) / 2) / ROOT;

// P(Z <= z) for a standard normal Z.
const normalCdf = (z) => complement(-z / Math.SQRT2, Math.exp((-z * z) / 2)) / 2;

// W. J. Cody (1969), Rational Chebyshev approximations for the error function: to about 1e-16.
const NEAR = [
  [0.18577770618460315, 3.1611237438705656, 113.86415415105016, 377.485237685302, 3209.3775891384694],
  [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.2368334391706],
];
const MIDDLE = [
  [
    2.1531153547440385e-8, 0.5641884969886701, 8.883149794388376, 66.11919063714163,
    298.6351381974001, 881.9522212417691, 1712.0476126340707, 2051.0783778260716, 1230.3393547979972,
  ],
  [
    1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903,
    3290.7992357334596, 4362.619090143247, 3439.3676741437216, 1230.3393548037495,
  ],
];
const FAR = [
  [
    0.016315387137302097, 0.30532663496123236, 0.36034489994980445, 0.12578172611122926,
    0.016083785148742275, 6.587491615298378e-4,
  ],
  [1, 2.568520192289822, 1.8729528499234672, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918],
];

// Horner's rule, unrolled: this runs for each unit of each layer.
const [[n0, n1, n2, n3, n4], [, e1, e2, e3, e4]] = NEAR;
const [[m0, m1, m2, m3, m4, m5, m6, m7, m8], [, f1, f2, f3, f4, f5, f6, f7, f8]] = MIDDLE;
const [[r0, r1, r2, r3, r4, r5], [, g1, g2, g3, g4, g5]] = FAR;
const near = (x) =>
  ((((n0 * x + n1) * x + n2) * x + n3) * x + n4) / ((((x + e1) * x + e2) * x + e3) * x + e4);
const middle = (x) =>
  ((((((((m0 * x + m1) * x + m2) * x + m3) * x + m4) * x + m5) * x + m6) * x + m7) * x + m8) /
  ((((((((x + f1) * x + f2) * x + f3) * x + f4) * x + f5) * x + f6) * x + f7) * x + f8);
const far = (x) =>
  (((((r0 * x + r1) * x + r2) * x + r3) * x + r4) * x + r5) /
  (((((x + g1) * x + g2) * x + g3) * x + g4) * x + g5);

// erfc(x), given exp(-x²).
function complement(x, bell) {
  const y = Math.abs(x);
  if (y <= 0.46875) return 1 - x * near(y * y);
  let tail = 0;
  if (y <= 4) tail = bell * middle(y);
  else if (y < 26.5) {
    const inverse = 1 / (y * y);
    tail = (bell / y) * (1 / Math.sqrt(Math.PI) - inverse * far(inverse));
  }
  return x < 0 ? 2 - tail : tail;
}

export const erfc = (x) => complement(x, Math.exp(-x * x));
