// Linear algebra on one growing block of memory: places in it are indices of 64-bit numbers.

import { instantiate } from "./wasm.js";

const PAGE = 65536;

export class Arena {
  // `plain` leaves WebAssembly out.
  constructor(plain = false) {
    this.memory = plain ? null : newMemory();
    this.multiplyFast = this.memory && instantiate(this.memory);
    if (!this.multiplyFast) this.memory = null;
    this.mem = new Float64Array(0);
    this.top = 0;
  }

  // Forget all places, and have room for `count` numbers.
  reset(count) {
    this.top = 0;
    if (this.mem.length >= count) return;
    if (this.memory) {
      const have = this.memory.buffer.byteLength;
      this.memory.grow(Math.ceil((8 * count - have) / PAGE));
      this.mem = new Float64Array(this.memory.buffer);
    } else this.mem = new Float64Array(count);
  }

  // A place for so many numbers.
  take(count) {
    const place = this.top;
    this.top += count + (count % 2);
    if (this.top > this.mem.length) throw new RangeError("the arena is full");
    return place;
  }

  // c = alpha a b; b is packed.
  multiply(m, n, k, a, b, c, alpha) {
    if (this.multiplyFast) this.multiplyFast(m, n, k, 8 * a, 8 * b, 8 * c, alpha);
    else multiplyPlain(this.mem, m, n, k, a, b, c, alpha);
  }
}

function newMemory() {
  try {
    return new WebAssembly.Memory({ initial: 1 });
  } catch {
    return null;
  }
}

// The same as in wasm.js: four by four sums at a time.
function multiplyPlain(mem, m, n, k, a, b, c, alpha) {
  for (let j = 0; j < n; j += 4, b += 4 * k) {
    for (let i = 0; i < m; i += 4) {
      let a0 = a + i * k;
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
      for (let p = b, last = b + 4 * k; p < last; p += 4, a0++) {
        const b0 = mem[p], b1 = mem[p + 1], b2 = mem[p + 2], b3 = mem[p + 3];
        const x0 = mem[a0], x1 = mem[a0 + k], x2 = mem[a0 + 2 * k], x3 = mem[a0 + 3 * k];
        s00 += x0 * b0; s01 += x0 * b1; s02 += x0 * b2; s03 += x0 * b3;
        s10 += x1 * b0; s11 += x1 * b1; s12 += x1 * b2; s13 += x1 * b3;
        s20 += x2 * b0; s21 += x2 * b1; s22 += x2 * b2; s23 += x2 * b3;
        s30 += x3 * b0; s31 += x3 * b1; s32 += x3 * b2; s33 += x3 * b3;
      }
      let o = c + i * n + j;
      for (const row of [[s00, s01, s02, s03], [s10, s11, s12, s13], [s20, s21, s22, s23], [s30, s31, s32, s33]]) {
        for (let q = 0; q < 4; q++) mem[o + q] = alpha * row[q];
        o += n;
      }
    }
  }
}

// Copy a matrix (k, n), row by row from `start` of any array, to strips of four columns.
export function pack(values, start, k, n, mem, to) {
  for (let j = 0; j < n; j += 4)
    for (let i = 0, from = start + j; i < k; i++, from += n, to += 4) {
      mem[to] = values[from];
      mem[to + 1] = values[from + 1];
      mem[to + 2] = values[from + 2];
      mem[to + 3] = values[from + 3];
    }
}

// The same of the transpose (n, k) of that matrix: strips of four of its rows.
export function packTransposed(values, start, k, n, mem, to) {
  for (let i = 0; i < k; i += 4)
    for (let j = 0, from = start + i * n; j < n; j++, from++, to += 4) {
      mem[to] = values[from];
      mem[to + 1] = values[from + n];
      mem[to + 2] = values[from + 2 * n];
      mem[to + 3] = values[from + 3 * n];
    }
}

// Copy a matrix (m, n) to its transpose, row by row.
export function transpose(mem, from, m, n, to) {
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) mem[to + j * m + i] = mem[from + i * n + j];
}

// Add a row vector to each row.
export function addRow(mem, at, m, n, row) {
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) mem[at + i * n + j] += row[j];
}

export const EPSILON = 1e-5;

// Bring each row to mean zero and variance one, in place; one over its std goes to `inverse`.
export function normalize(mem, at, m, n, inverse) {
  for (let i = 0; i < m; i++, at += n) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += mem[at + j];
    const mean = sum / n;
    let square = 0;
    for (let j = 0; j < n; j++) square += (mem[at + j] - mean) ** 2;
    const factor = 1 / Math.sqrt(square / n + EPSILON);
    mem[inverse + i] = factor;
    for (let j = 0; j < n; j++) mem[at + j] = (mem[at + j] - mean) * factor;
  }
}

// Turn the gradient with respect to the normalized rows `u` into that of what came in, in place.
export function normalizeBackward(mem, gradient, m, n, u, inverse) {
  for (let i = 0; i < m; i++, gradient += n, u += n) {
    let [sum, along] = [0, 0];
    for (let j = 0; j < n; j++) {
      sum += mem[gradient + j];
      along += mem[gradient + j] * mem[u + j];
    }
    sum /= n;
    along /= n;
    for (let j = 0; j < n; j++)
      mem[gradient + j] = mem[inverse + i] * (mem[gradient + j] - sum - mem[u + j] * along);
  }
}
