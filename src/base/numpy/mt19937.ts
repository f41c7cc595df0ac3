// numpy's legacy generator (`np.random.RandomState`), bit for bit: nnU-Net's splits, fingerprint and class locations come from it.
// Our own randomness is `Random`; this one exists to give the same numbers as nnU-Net.

const N = 624;
const M = 397;

/** MT19937 seeded as `RandomState(seed)` does, with numpy's rules for bounded integers, shuffles, uniforms and normals. */
export class NumpyRandom {
  // Signed, so that every operation stays an integer one.
  private readonly state = new Int32Array(N);
  private index = N;
  private spare: number | null = null;

  /** @param seed unsigned 32-bit */
  constructor(seed: number) {
    this.state[0] = seed;
    for (let i = 1; i < N; i++) {
      const s = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, s) + i;
    }
  }

  /** 32 random bits. */
  bits(): number {
    if (this.index === N) this.refill();
    let y = this.state[this.index++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  /** Uniform integer in 0…max by masked rejection; no draw for max 0. */
  bounded(max: number): number {
    if (max === 0) return 0;
    if (max === 0xffffffff) return this.bits();
    const mask = 0xffffffff >>> Math.clz32(max);
    let value: number;
    do value = (this.bits() & mask) >>> 0;
    while (value > max);
    return value;
  }

  /** Uniform integer in [low, high). */
  randint(low: number, high: number): number {
    return low + this.bounded(high - low - 1);
  }

  /** Shuffles in place (Fisher-Yates from the end, as numpy). */
  shuffle<T extends { length: number; [i: number]: any }>(list: T): T {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.bounded(i);
      const held = list[i];
      list[i] = list[j];
      list[j] = held;
    }
    return list;
  }

  /** 0…n-1 in random order. */
  permutation(n: number): Uint32Array {
    const out = new Uint32Array(n);
    for (let i = 0; i < n; i++) out[i] = i;
    return this.shuffle(out);
  }

  /** `choice(n)`: one integer in [0, n). */
  choice(n: number): number {
    return this.randint(0, n);
  }

  /** Counts `draws` times `choice(counts.length)`: one loop, for the hundred million draws of a fingerprint. */
  countDraws(counts: Uint32Array, draws: number): void {
    const max = counts.length - 1;
    if (max === 0) {
      counts[0] += draws;
      return;
    }
    const mask = 0x7fffffff >> (Math.clz32(max) - 1);
    const { state } = this;
    // Rejected values are counted too, above `max`, and dropped: a branch that no processor can foresee costs more.
    const all = new Uint32Array(mask + 1);
    let left = draws;
    while (left > 0) {
      if (this.index === N) this.refill();
      let i = this.index;
      for (; i < N && left > 0; i++) {
        let y = state[i];
        y ^= y >>> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        y ^= y >>> 18;
        const value = y & mask;
        all[value]++;
        left -= (value - max - 1) >>> 31;
      }
      this.index = i;
    }
    for (let i = 0; i <= max; i++) counts[i] += all[i];
  }

  /** Uniform in [0, 1) with 53 bits. */
  random(): number {
    return ((this.bits() >>> 5) * 67108864 + (this.bits() >>> 6)) / 9007199254740992;
  }

  uniform(low: number, high: number): number {
    return low + (high - low) * this.random();
  }

  /** Standard normal deviate (polar method, the second value kept for the next call). */
  normal(): number {
    if (this.spare !== null) {
      const value = this.spare;
      this.spare = null;
      return value;
    }
    let x: number;
    let y: number;
    let r: number;
    do {
      x = 2 * this.random() - 1;
      y = 2 * this.random() - 1;
      r = x * x + y * y;
    } while (r >= 1 || r === 0);
    const f = Math.sqrt((-2 * Math.log(r)) / r);
    this.spare = f * x;
    return f * y;
  }

  private refill(): void {
    const s = this.state;
    for (let i = 0; i < N; i++) {
      const y = (s[i] & 0x80000000) | (s[i + 1 < N ? i + 1 : 0] & 0x7fffffff);
      s[i] = s[i + M < N ? i + M : i + M - N] ^ (y >>> 1) ^ (-(y & 1) & 0x9908b0df);
    }
    this.index = 0;
  }
}
