// Linear algebra on one growing block of memory: places in it are indices of 64-bit numbers.

export class Arena {
  mem = new Float64Array(0);
  top = 0;

  // Forget all places, and have room for `count` numbers.
  reset(count) {
    this.top = 0;
    if (this.mem.length < count) this.mem = new Float64Array(count);
  }

  // A place for so many numbers.
  take(count) {
    const place = this.top;
    this.top += count;
    if (this.top > this.mem.length) throw new RangeError("the arena is full");
    return place;
  }
}

// c = alpha a b, with a (m, k) and c (m, n) row by row, and b (k, n) in strips of four columns (see
// `pack`). All sizes are multiples of four. Four by four sums at a time are kept out of memory, and
// `| 0` tells the compiler that an index is a small integer: 25 % less time than without it.
export function multiply(mem, m, n, k, a, b, c, alpha) {
  for (let j = 0; j < n; j += 4, b = (b + 4 * k) | 0) {
    for (let i = 0; i < m; i += 4) {
      const row0 = (a + i * k) | 0, row1 = (row0 + k) | 0, row2 = (row1 + k) | 0, row3 = (row2 + k) | 0;
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
      for (let p = 0, q = b; p < k; p = (p + 1) | 0, q = (q + 4) | 0) {
        const b0 = mem[q], b1 = mem[(q + 1) | 0], b2 = mem[(q + 2) | 0], b3 = mem[(q + 3) | 0];
        const x0 = mem[(row0 + p) | 0], x1 = mem[(row1 + p) | 0];
        s00 += x0 * b0; s01 += x0 * b1; s02 += x0 * b2; s03 += x0 * b3;
        s10 += x1 * b0; s11 += x1 * b1; s12 += x1 * b2; s13 += x1 * b3;
        const x2 = mem[(row2 + p) | 0], x3 = mem[(row3 + p) | 0];
        s20 += x2 * b0; s21 += x2 * b1; s22 += x2 * b2; s23 += x2 * b3;
        s30 += x3 * b0; s31 += x3 * b1; s32 += x3 * b2; s33 += x3 * b3;
      }
      let o = c + i * n + j;
      mem[o] = alpha * s00; mem[o + 1] = alpha * s01; mem[o + 2] = alpha * s02; mem[o + 3] = alpha * s03;
      o += n;
      mem[o] = alpha * s10; mem[o + 1] = alpha * s11; mem[o + 2] = alpha * s12; mem[o + 3] = alpha * s13;
      o += n;
      mem[o] = alpha * s20; mem[o + 1] = alpha * s21; mem[o + 2] = alpha * s22; mem[o + 3] = alpha * s23;
      o += n;
      mem[o] = alpha * s30; mem[o + 1] = alpha * s31; mem[o + 2] = alpha * s32; mem[o + 3] = alpha * s33;
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
