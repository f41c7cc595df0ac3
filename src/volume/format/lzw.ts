// LZW as TIFF packs with it: codes of 9 to 12 bits, highest bit first, wider one code early. Source: TIFF 6.0, section 13.
const clear = 256;
const end = 257;

/** Bytes that one byte of codes can stand for at most: a string of 3838 bytes in each 12 bits. */
export const lzwRatio = 2560;

/**
 * Expands codes into `out` and stops where it is full, whatever the codes go on to say.
 * @returns bytes written: fewer than `out` holds when the codes end early or name a string that is not there
 */
export function expandLzw(codes: Uint8Array, out: Uint8Array): number {
  // A string is another one (`before`) and a last byte.
  const before = new Uint16Array(4096);
  const first = Uint8Array.from({ length: 4096 }, (_, i) => i);
  const last = first.slice();
  const length = new Uint16Array(4096).fill(1);
  let next = 258;
  let width = 9;
  let previous = -1;
  let written = 0;
  for (let bits = 0, held = 0, at = 0; written < out.length; ) {
    for (; held < width; held += 8) {
      if (at === codes.length) return written;
      bits = ((bits & 0xffff) << 8) | codes[at++];
    }
    held -= width;
    const code = (bits >> held) & ((1 << width) - 1);
    if (code === end) return written;
    if (code === clear) {
      next = 258;
      width = 9;
      previous = -1;
      continue;
    }
    // A code may name the very string that it adds to the table.
    const adds = previous >= 0 && next < 4096;
    if (code > 255 && code >= (adds ? next + 1 : previous >= 0 ? next : 256)) return written;
    if (adds) {
      before[next] = previous;
      first[next] = first[previous];
      last[next] = code === next ? first[previous] : first[code];
      length[next] = length[previous] + 1;
      next++;
      width = next >= 2047 ? 12 : next >= 1023 ? 11 : next >= 511 ? 10 : 9;
    }
    // Beyond the end of `out` nothing is kept.
    for (let string = code, to = written + length[code] - 1; to >= written; to--, string = before[string]) out[to] = last[string];
    written += length[code];
    previous = code;
  }
  return out.length;
}
