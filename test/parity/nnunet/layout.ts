// Golden arrays of nnU-Net are channel first, ours channel last.

type Numbers = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Int32Array;

/** `[c, …]` → `[…, c]`. */
export function channelsLast<A extends Numbers>(data: A, channels: number): A {
  const n = data.length / channels;
  const out = data.slice() as A;
  for (let c = 0; c < channels; c++) for (let i = 0; i < n; i++) out[i * channels + c] = data[c * n + i];
  return out;
}

/** `[…, c]` → `[c, …]`. */
export function channelsFirst<A extends Numbers>(data: A, channels: number): A {
  const n = data.length / channels;
  const out = data.slice() as A;
  for (let c = 0; c < channels; c++) for (let i = 0; i < n; i++) out[c * n + i] = data[i * channels + c];
  return out;
}
