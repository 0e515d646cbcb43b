// Reproducible draws: a stream for each (seed, place), so that no draw depends on another.

// sfc32, by Chris Doty-Humphrey (PractRand): 128 bits of state, public domain.
export function stream(seed, place) {
  let [a, b, c, counter] = [seed | 0, place | 0, 0x9e3779b9 | 0, 1];
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

// Standard normals in pairs (Box and Muller, 1958).
export function normals(values, next) {
  for (let i = 0; i < values.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((next() + 1) / 4294967297));
    const angle = (2 * Math.PI * next()) / 4294967296;
    values[i] = radius * Math.cos(angle);
    if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

// Uniform with mean zero and variance one.
export function uniforms(values, next) {
  const bound = Math.sqrt(3);
  for (let i = 0; i < values.length; i++) values[i] = bound * ((2 * (next() + 0.5)) / 4294967296 - 1);
  return values;
}

// An orthogonal n x n matrix from the Haar distribution, row-major (Stewart, 1980): reflections that take
// random normal vectors of n, n - 1, … entries to an axis, each with the sign of its first entry.
export function haar(n, next) {
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i++) q[i * n + i] = 1;
  const product = new Float64Array(n);
  for (let size = 1; size <= n; size++) {
    const first = n - size;
    const v = normals(new Float64Array(size), next);
    const sign = v[0] < 0 ? -1 : 1;
    if (size > 1) {
      let square = 0;
      for (const x of v) square += x * x;
      const norm = Math.sqrt(square);
      const scale = 1 / (norm * (norm + Math.abs(v[0])));
      v[0] += sign * norm;
      product.fill(0);
      for (let i = 0; i < size; i++) {
        const row = (first + i) * n;
        for (let j = first; j < n; j++) product[j] += v[i] * q[row + j];
      }
      for (let i = 0; i < size; i++) {
        const row = (first + i) * n;
        const factor = scale * v[i];
        for (let j = first; j < n; j++) q[row + j] -= factor * product[j];
      }
    }
    for (let j = first; j < n; j++) q[first * n + j] *= -sign;
  }
  return q;
}
