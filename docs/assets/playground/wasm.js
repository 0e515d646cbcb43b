// A matrix product in WebAssembly SIMD, assembled here: no compiler, and each instruction named.
//
// c = alpha a b, with a of shape (m, k) row by row, c of shape (m, n) row by row, and b of shape
// (k, n) in strips of four columns, each strip row by row (see `pack` in linear.js). A tile of
// four by four sums stays in registers while k runs. All sizes are multiples of four; a, b and c
// are addresses in bytes.

const unsigned = (value) => {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value);
  return bytes;
};
// A 64 would read as a sign bit: one byte more where bit 6 is set.
const signed = (value) => (value > 63 ? [value | 128, 0] : [value]);
const sized = (bytes) => [...unsigned(bytes.length), ...bytes];
const vector = (items) => [...unsigned(items.length), ...items.flat()];
const section = (id, bytes) => [id, ...sized(bytes)];
const text = (word) => sized([...word].map((letter) => letter.charCodeAt(0)));

const I32 = 0x7f;
const F64 = 0x7c;
const V128 = 0x7b;

const get = (local) => [0x20, local];
const set = (local) => [0x21, local];
const i32 = (value) => [0x41, ...signed(value)];
const add = [0x6a];
const times = [0x6c];
const below = [0x49];
const doubles = [...i32(3), 0x74]; // A count of numbers to a count of bytes: shifted left by 3.
const loop = [0x03, 0x40];
const again = [0x0d, 0x00];
const end = [0x0b];
const simd = (code, ...rest) => [0xfd, ...unsigned(code), ...rest];
const load = (offset) => simd(0, 3, offset);
const loadBoth = (offset) => simd(10, 3, offset);
const store = (offset) => simd(11, 3, offset);
const spread = simd(20);
const plus = simd(240);
const product = simd(242);
const nothing = simd(12, ...Array(16).fill(0));

const PARAMETERS = ["m", "n", "k", "a", "b", "c", "alpha"];
const INTEGERS = ["strip", "next", "j", "i", "row0", "row1", "row2", "row3", "out", "stride", "line"];
const VECTORS = ["left", "right", "both", ...[..."01234567"].map((digit) => `sum${digit}`)];
const local = Object.fromEntries(
  [...PARAMETERS, ...INTEGERS, ...VECTORS].map((name, index) => [name, index]),
);
const let_ = (name, ...code) => [...code.flat(), ...set(local[name])];
const of = (name) => get(local[name]);

const ROWS = [0, 1, 2, 3];

function body() {
  // One step of k: two pairs of b, and each row's number of a, doubled.
  const step = (offset) => [
    ...let_("left", of("strip"), load(4 * offset)),
    ...let_("right", of("strip"), load(4 * offset + 16)),
    ...ROWS.flatMap((row) => [
      ...let_("both", of(`row${row}`), loadBoth(offset)),
      ...let_(`sum${2 * row}`, of(`sum${2 * row}`), of("both"), of("left"), product, plus),
      ...let_(`sum${2 * row + 1}`, of(`sum${2 * row + 1}`), of("both"), of("right"), product, plus),
    ]),
  ];
  const scaled = (sum) => [...of(sum), ...of("alpha"), ...spread, ...product];
  return [
    ...let_("stride", of("k"), doubles),
    ...let_("line", of("n"), doubles),
    ...loop, // over strips of four columns
    ...let_("next", of("b"), of("stride"), i32(4), times, add),
    ...let_("row0", of("a")),
    ...let_("out", of("c"), of("j"), doubles, add),
    ...let_("i", i32(0)),
    ...loop, // over four rows
    ...let_("strip", of("b")),
    ...ROWS.slice(1).flatMap((row) => let_(`row${row}`, of(`row${row - 1}`), of("stride"), add)),
    ...ROWS.flatMap((row) => [
      ...let_(`sum${2 * row}`, nothing),
      ...let_(`sum${2 * row + 1}`, nothing),
    ]),
    ...loop, // over k, two at a time
    ...step(0),
    ...step(8),
    ...ROWS.flatMap((row) => let_(`row${row}`, of(`row${row}`), i32(16), add)),
    ...let_("strip", of("strip"), i32(64), add),
    ...[...of("strip"), ...of("next"), ...below, ...again],
    ...end,
    ...ROWS.flatMap((row) => [
      ...[...of("out"), ...scaled(`sum${2 * row}`), ...store(0)],
      ...[...of("out"), ...scaled(`sum${2 * row + 1}`), ...store(16)],
      ...let_("out", of("out"), of("line"), add),
    ]),
    // The last row has run to its end, where the next four begin.
    ...let_("row0", of("row3")),
    ...let_("i", of("i"), i32(4), add),
    ...[...of("i"), ...of("m"), ...below, ...again],
    ...end,
    ...let_("b", of("next")),
    ...let_("j", of("j"), i32(4), add),
    ...[...of("j"), ...of("n"), ...below, ...again],
    ...end,
    ...end,
  ];
}

function moduleBytes() {
  const parameters = [I32, I32, I32, I32, I32, I32, F64];
  const locals = vector([
    [INTEGERS.length, I32],
    [VECTORS.length, V128],
  ]);
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector(parameters.map((type) => [type])), 0]])),
    ...section(2, vector([[...text("env"), ...text("memory"), 2, 0, 0]])),
    ...section(3, vector([[0]])),
    ...section(7, vector([[...text("multiply"), 0, 0]])),
    ...section(10, vector([sized([...locals, ...body()])])),
  ]);
}

// The function, or null where the browser has no SIMD or the page's policy forbids WebAssembly.
export function instantiate(memory) {
  try {
    const module = new WebAssembly.Module(moduleBytes());
    return new WebAssembly.Instance(module, { env: { memory } }).exports.multiply;
  } catch {
    return null;
  }
}
