// Distribution functions to double accuracy: normal, Student t, chi-square, studentised range.
import { normalCdf } from '../base/normal.js';

const normalDensity = (z: number) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

/** The z with P(Z ≤ z) = p: a rational start, then Halley's steps. */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) return p === 0 ? Number.NEGATIVE_INFINITY : p === 1 ? Number.POSITIVE_INFINITY : Number.NaN;
  if (p > 0.5) return -normalQuantile(1 - p);
  const t = Math.sqrt(-2 * Math.log(p));
  let z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
  for (let i = 0; i < 4; i++) {
    const u = (normalCdf(z) - p) / normalDensity(z);
    z -= u / (1 + (z * u) / 2);
  }
  return z;
}

/** ln Γ(x), x > 0 (Stirling's series after shifting up). */
export function logGamma(x: number): number {
  let shift = 0;
  while (x < 15) shift -= Math.log(x++);
  const y = 1 / (x * x);
  const series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - (y * 691) / 360360))))) / x;
  return shift + (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + series;
}

/** Regularised incomplete beta function (Lentz's continued fraction). */
export function incompleteBeta(a: number, b: number, x: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, 1 - x);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1));
  let f = d;
  for (let m = 1; m < 1000; m++) {
    for (const term of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / (1 + term * d);
      c = 1 + term / c;
      f *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-16) break;
  }
  return front * f;
}

/** Two-sided p of Student's t. */
export const studentTwoSided = (t: number, freedom: number) => incompleteBeta(freedom / 2, 0.5, freedom / (freedom + t * t));

/** The t > 0 with P(|T| > t) = p. */
export function studentQuantile(p: number, freedom: number): number {
  let low = 0;
  let high = 1;
  while (studentTwoSided(high, freedom) > p) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-16 * high; i++) {
    const middle = (low + high) / 2;
    if (studentTwoSided(middle, freedom) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Density at u of √(X / freedom), X chi-square: of an estimated standard deviation over the true one. */
export const chiDensity = (u: number, freedom: number) =>
  u <= 0
    ? freedom === 1 && u === 0
      ? Math.sqrt(2 / Math.PI)
      : 0
    : 2 *
      Math.exp(
        (freedom / 2) * Math.log(freedom / 2) + (freedom - 1) * Math.log(u) - (freedom * u * u) / 2 - logGamma(freedom / 2),
      );

/** P(X > x) of the chi-square distribution. */
export function chiSquareTail(x: number, freedom: number): number {
  if (!(x > 0)) return 1;
  const [a, h] = [freedom / 2, x / 2];
  const front = Math.exp(a * Math.log(h) - h - logGamma(a));
  if (h < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; n < 1000 && term > sum * 1e-17; n++) {
      term *= h / (a + n);
      sum += term;
    }
    return 1 - front * sum;
  }
  let f = 0;
  for (let n = 500; n >= 1; n--) f = (n * (n - a)) / (h + 2 * n + 1 - a - f);
  return front / (h + 1 - a - f);
}

/** The q with P(range of k standard normals > q) = p (studentised range with infinite degrees of freedom). */
export function studentisedRangeQuantile(p: number, k: number): number {
  const tail = (q: number) => {
    const n = 4000;
    let sum = 0;
    for (let i = 0; i <= n; i++) {
      const z = -9 + ((18 + q) * i) / n;
      sum += (i === 0 || i === n ? 1 : i % 2 ? 4 : 2) * normalDensity(z) * (normalCdf(z) - normalCdf(z - q)) ** (k - 1);
    }
    return 1 - (k * sum * (18 + q)) / n / 3;
  };
  let [low, high] = [0, 20];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (tail(middle) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
