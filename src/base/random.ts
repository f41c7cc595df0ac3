// Randomness as a value: a generator is made from a seed, split by name, and its state can be saved. Never global.
import { nativeFunctions } from './native/load.js';

const rotate = (x: number, k: number) => (x << k) | (x >>> (32 - k));

/** Seeds four words from text (FNV-1a into SplitMix32), so that every name gives an unrelated stream. */
function words(text: string): [number, number, number, number] {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  const next = () => {
    h = (h + 0x9e3779b9) | 0;
    let z = h;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  return [next(), next(), next(), next()];
}

/** What a generator needs to go on: plain JSON. */
export interface RandomState {
  name: string;
  words: [number, number, number, number];
  spare: number | null;
}

/** xoshiro128** (Blackman and Vigna), 32 bits a draw, 53 bits in `uniform`. */
export class Random {
  private s: [number, number, number, number];
  private spare: number | null = null;
  private readonly name: string;

  constructor(seed: number | string) {
    this.name = String(seed);
    this.s = words(this.name);
  }

  /** A generator of its own for `name`; does not depend on how many draws were made here. */
  split(name: string | number): Random {
    return new Random(`${this.name}/${name}`);
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.s;
    const result = Math.imul(rotate(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11);
    return result;
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    const unit = ((this.bits() >>> 5) * 67108864 + (this.bits() >>> 6)) / 9007199254740992;
    return low + (high - low) * unit;
  }

  /** Uniform integer in [low, high). */
  int(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low));
  }

  /** Normal deviate (Box-Muller). */
  normal(mean = 0, sd = 1): number {
    if (this.spare !== null) {
      const z = this.spare;
      this.spare = null;
      return mean + sd * z;
    }
    const r = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const a = 2 * Math.PI * this.uniform();
    this.spare = r * Math.sin(a);
    return mean + sd * r * Math.cos(a);
  }

  /** `count` draws of `uniform(low, high)`. */
  uniforms(count: number, low = 0, high = 1): Float64Array {
    const out = new Float64Array(count);
    const native = nativeFunctions();
    if (native) this.inBulk((state) => native.fillUniform(state, out, low, high));
    else for (let i = 0; i < count; i++) out[i] = this.uniform(low, high);
    return out;
  }

  /** `count` draws of `chance(rate)`: 0 where one comes true, else `kept`. */
  mask(count: number, rate: number, kept: number): Float32Array {
    const out = new Float32Array(count);
    const native = nativeFunctions();
    if (native) this.inBulk((state) => native.fillKept(state, out, rate, kept));
    else for (let i = 0; i < count; i++) out[i] = this.chance(rate) ? 0 : kept;
    return out;
  }

  /** Adds a draw of `normal(0, sd)` to each value. */
  addNormal(values: Float32Array, sd: number): void {
    const native = nativeFunctions();
    const first = native ? Math.min(this.spare === null ? 0 : 1, values.length) : values.length;
    for (let i = 0; i < first; i++) values[i] += this.normal(0, sd);
    // Deviates come in pairs.
    const even = values.length - ((values.length - first) % 2);
    if (native && even > first) this.inBulk((state) => native.addNormal(state, values.subarray(first, even), sd));
    for (let i = even; i < values.length; i++) values[i] += this.normal(0, sd);
  }

  private inBulk(draw: (state: Int32Array) => void): void {
    const state = Int32Array.from(this.s);
    draw(state);
    this.s = [state[0], state[1], state[2], state[3]];
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** A new array in random order (Fisher-Yates). */
  shuffled<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(0, i + 1);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  }

  choice<T>(list: readonly T[]): T {
    return list[this.int(0, list.length)];
  }

  state(): RandomState {
    return { name: this.name, words: [...this.s], spare: this.spare };
  }

  static restore(state: RandomState): Random {
    const random = new Random(state.name);
    random.s = [...state.words];
    random.spare = state.spare;
    return random;
  }
}
