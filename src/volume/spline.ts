// Cubic B-splines on a line: the filter that turns samples into coefficients, and the four weights of a place between them.
//
// Source: Unser, Splines: a perfect fit for signal and image processing (1999); borders as scipy's `spline_filter1d`.

/** Of the filter. */
export const pole = Math.sqrt(3) - 2;

/**
 * How a line goes on beyond its ends: `reflect` repeats the end samples (half-sample symmetry), `mirror` does not (whole-sample symmetry).
 * The gain is 6 either way; scipy's two callers round it differently.
 */
const borders = { reflect: { gain: (1 - pole) * (1 - 1 / pole) }, mirror: { gain: 6 } };
export type SplineBorder = keyof typeof borders;

/** Terms of a sum over the continued line; the next would fall below any rounding. */
const terms = 40;

/**
 * Samples to coefficients in place: a recursive filter forth and back, for every column.
 * @param rows `n` rows of `width` columns
 */
export function splineFilter(rows: Float64Array, n: number, width: number, border: SplineBorder): void {
  const { gain } = borders[border];
  for (let i = 0; i < n * width; i++) rows[i] *= gain;
  const last = (n - 1) * width;
  for (let c = 0; c < width; c++)
    rows[c] = border === 'reflect' ? reflectedStart(rows, n, width, c) : mirroredStart(rows, n, width, c);
  for (let i = width; i < n * width; i++) rows[i] += pole * rows[i - width];
  if (border === 'reflect') for (let c = 0; c < width; c++) rows[last + c] *= pole / (pole - 1);
  else
    for (let c = 0; c < width; c++)
      rows[last + c] = (pole / (pole * pole - 1)) * (rows[last + c] + pole * rows[last - width + c]);
  for (let i = last - 1; i >= 0; i--) rows[i] = pole * (rows[i + width] - rows[i]);
}

function reflectedStart(rows: Float64Array, n: number, width: number, c: number): number {
  const whole = pole ** n;
  let sum = rows[c] + whole * rows[(n - 1) * width + c];
  for (let i = 1, power = pole; i < n && i < terms; i++, power *= pole)
    sum += power * (rows[i * width + c] + whole * rows[(n - 1 - i) * width + c]);
  return rows[c] + sum * (pole / (1 - whole * whole));
}

function mirroredStart(rows: Float64Array, n: number, width: number, c: number): number {
  let sum = rows[c];
  for (let i = 1, power = pole; i < Math.min(n - 1, terms); i++, power *= pole) sum += power * rows[i * width + c];
  if (n > terms) return sum;
  const whole = pole ** (n - 1);
  sum += whole * rows[(n - 1) * width + c];
  for (let i = n - 2, power = whole * pole; i > 0; i--, power *= pole) sum += power * rows[i * width + c];
  return sum / (1 - whole * whole);
}

/** Weights of the four samples around a place `x` in [0, 1) behind the second of them, written to `out` from `at` on. */
export function cubicWeights(x: number, out: Float64Array, at = 0): void {
  const z = 1 - x;
  out[at] = (z * z * z) / 6;
  out[at + 1] = (x * x * (x - 2) * 3 + 4) / 6;
  out[at + 2] = (z * z * (z - 2) * 3 + 4) / 6;
  out[at + 3] = 1 - out[at] - out[at + 1] - out[at + 2];
}
