// The selective scan of Mamba (Gu and Dao 2023, algorithm 2): a linear recurrence per channel and state whose step width
// depends on the input.
//
//   h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t        y_t = C_t · h_t + D u_t        Δ = softplus(δ + bias)
//
// The sequence is cut into blocks that fit a fixed number of values. Inside a block all positions are computed together
// by a scan of radix 16 (`linearScan`), which only multiplies and adds: nothing is divided by a decaying product, so
// decays that underflow to zero are harmless. From block to block one state is handed on.
//
// Memory, for batch b, length L, channels d, states n: the backward pass keeps the inputs (three or so times b·L·d) and one
// state per block, b·d·n·ceil(L/S); h itself (b·L·d·n, n = 16 times an activation) is never whole in memory but recomputed
// block by block. S is the block length, `workValues`/(b·d·n); where that would be less than sixteen, the batch is cut first.
// So memory grows linearly with the length, with the slope of an ordinary activation, plus a constant of about 12 blocks of
// `workValues` float32 while it works.
import { FaultList } from '../../base/errors.js';
import { native } from '../native/load.js';
import { nativeScan } from '../native/selectiveScan.js';
import { isSymbolic, symbolicOp, symbolicOutput } from '../symbolic.js';
import { tf } from '../tf.js';
import { silu } from './silu.js';

/** What the scan takes besides its sequences. */
export interface SelectiveScanOptions {
  /** `[channel]`: skip weight, adds `D·u`. */
  D?: tf.Tensor;
  /** `[batch, length, channel]`: gate; the result is multiplied by silu(z). */
  z?: tf.Tensor;
  /** `[channel]`: added to `delta` before softplus. */
  deltaBias?: tf.Tensor;
  /** Whether Δ = softplus(delta + bias) instead of delta + bias. Default true. */
  deltaSoftplus?: boolean;
  /**
   * Values of state computed together by the plain version, a float32 each (default 2²⁰); about twelve times as many are
   * alive while a block works. Where it is given, the plain version is used even if there is a kernel.
   */
  workValues?: number;
}

/**
 * The selective scan, differentiable in every tensor.
 *
 * @param u `[batch, length, channel]`: the sequence
 * @param delta `[batch, length, channel]`: step widths
 * @param A `[channel, state]`: decay rates, negative in Mamba (−exp(A_log))
 * @param B `[batch, length, group, state]`, `[batch, length, state]` (one group) or constant `[channel, state]`. Channel c
 *   belongs to group floor(c / (channels / groups))
 * @param C as `B`
 * @returns `[batch, length, channel]`, the caller's
 * @throws VoxelbookError naming every shape that does not fit
 */
export function selectiveScan(
  u: tf.Tensor,
  delta: tf.Tensor,
  A: tf.Tensor,
  B: tf.Tensor,
  C: tf.Tensor,
  options: SelectiveScanOptions = {},
): tf.Tensor3D {
  return selectiveScanWithState(u, delta, A, B, C, { ...options, wantState: false }).y;
}

/** As `selectiveScan`, with the state after the last position, `[batch, channel, state]`. Both are the caller's. */
export function selectiveScanWithState(
  u: tf.Tensor,
  delta: tf.Tensor,
  A: tf.Tensor,
  B: tf.Tensor,
  C: tf.Tensor,
  options: SelectiveScanOptions & { wantState?: boolean } = {},
): { y: tf.Tensor3D; state: tf.Tensor3D } {
  check(u, delta, A, B, C, options);
  const [batch, length, channels] = u.shape as [number, number, number];
  const states = A.shape[1]!;
  const { deltaSoftplus = true, workValues = 2 ** 20, wantState = true } = options;
  const kernel = native() && options.workValues === undefined;
  const results = tf.tidy(() => {
    if (options.D) charge('selectiveScan skip', u.size);
    const grouped = [B, C].map((x) => (x.rank === 4 ? x : x.rank === 3 ? tf.expandDims(x, 2) : constant(x, batch, length)));
    const inputs = [
      u,
      delta,
      A,
      grouped[0],
      grouped[1],
      options.D ?? tf.zeros([channels]),
      options.deltaBias ?? tf.zeros([channels]),
    ];
    const settings = { deltaSoftplus, workValues, wantState, kernel };
    const entries = kernel || isSymbolic() ? batch : entriesAtOnce(batch, channels * states, workValues);
    const parts = byEntries(inputs, entries).map((part) => {
      const joined = scanOp(part, settings);
      if (!wantState) return [joined];
      const size = part[0].size;
      const y = tf.reshape(tf.slice(joined, 0, size), part[0].shape);
      return [y, tf.reshape(tf.slice(joined, size), [part[0].shape[0], channels, states])];
    });
    const whole = (i: number) => (parts.length > 1 ? tf.concat(parts.map((part) => part[i])) : parts[0][i]);
    const y = whole(0);
    if (!wantState) return [options.z ? gate(y, options.z) : y];
    const state = whole(1);
    return [options.z ? gate(y, options.z) : y, state];
  });
  return { y: results[0] as tf.Tensor3D, state: results[1] as tf.Tensor3D };
}

/** Batch entries scanned together: as many as leave blocks of sixteen positions. */
const entriesAtOnce = (batch: number, valuesPerEntry: number, workValues: number) =>
  Math.min(batch, Math.max(1, Math.floor(workValues / (radix * valuesPerEntry))));

/** Inputs of the scan cut along the batch; A, D and the bias are shared. */
function byEntries(inputs: tf.Tensor[], entries: number): tf.Tensor[][] {
  const batch = inputs[0].shape[0];
  if (entries >= batch) return [inputs];
  const count = Math.ceil(batch / entries);
  return Array.from({ length: count }, (_, i) => {
    const size = Math.min(entries, batch - i * entries);
    const cut = (x: tf.Tensor) => tf.slice(x, [i * entries, ...x.shape.slice(1).map(() => 0)], [size, ...x.shape.slice(1)]);
    return inputs.map((x, at) => ([0, 1, 3, 4].includes(at) ? cut(x) : x));
  });
}

function gate(y: tf.Tensor, z: tf.Tensor): tf.Tensor {
  charge('selectiveScan gate', y.size);
  return tf.mul(y, silu(z));
}

/** A constant B or C `[channel, state]` is one group a channel, repeated. Only the operator's reference uses it. */
function constant(x: tf.Tensor, batch: number, length: number): tf.Tensor {
  return tf.tile(tf.reshape(x, [1, 1, ...x.shape]), [batch, length, 1, 1]);
}

/**
 * FLOPs of the recurrence as papers count them, for Σ = batch·length·channels·states. VMamba since February 2024
 * (state-spaces/mamba issue 110): 9 Σ; before: 3.5 Σ. Both add batch·length·channels for the skip D, and once more for a
 * gate z. A symbolic run charges 9 Σ to `selectiveScan`, the others to `selectiveScan skip` and `selectiveScan gate`.
 */
export const recurrenceFlops = { since2024: 9, before: 3.5 } as const;

/** Charges the symbolic run, if there is one. */
function charge(name: string, macs: number) {
  if (isSymbolic()) symbolicOutput([0], 'float32', { name, macs }).dispose();
}

interface ScanSettings {
  deltaSoftplus: boolean;
  workValues: number;
  wantState: boolean;
  kernel: boolean;
}

/** Inputs u, delta, A, B, C, D, bias, all present. Gives y, or y and the last state flattened one behind the other. */
function scanOp(inputs: tf.Tensor[], settings: ScanSettings): tf.Tensor {
  const [batch, length, channels] = inputs[0].shape;
  const states = inputs[2].shape[1]!;
  if (isSymbolic()) {
    const entries = entriesAtOnce(batch, channels * states, settings.workValues);
    const blocks = Math.ceil(length / blockLength(entries * channels * states, settings.workValues));
    const macs = recurrenceFlops.since2024 * batch * length * channels * states;
    const shape = settings.wantState ? [batch * channels * (length + states)] : [batch, length, channels];
    return symbolicOp('selectiveScan', inputs, shape, {
      macs,
      gradientMacs: 2 * macs,
      keep: [[blocks, batch, channels, states]],
      attributes: { deltaSoftplus: settings.deltaSoftplus, wantState: settings.wantState },
    });
  }
  if (settings.kernel) return nativeScan(inputs, settings);
  return tf.customGrad((...args: unknown[]) => {
    const save = args.pop() as tf.GradSaveFunc;
    const xs = args as tf.Tensor[];
    const { y, state, starts } = forward(xs, settings);
    save([...xs, starts]);
    const value = settings.wantState ? tf.concat([tf.reshape(y, [-1]), tf.reshape(toChannels(state), [-1])]) : y;
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => backward(dy, saved.slice(0, -1), saved.at(-1)!, settings);
    return { value, gradFunc };
  })(...inputs);
}

const blockLength = (valuesPerPosition: number, workValues: number) => Math.max(1, Math.floor(workValues / valuesPerPosition));

// Inside a block the position comes first and the channel last: [position, batch, group, state, channel of the group].
// Positions are then contiguous slices, and a step width is broadcast over states without breaking up the inner loop.

/** Everything of one block that both passes need. */
function block(inputs: tf.Tensor[], from: number, length: number, softplus: boolean) {
  const [u, delta, A, B, C, , bias] = inputs;
  const [batch, , channels] = u.shape;
  const [groups, states] = [B.shape[2]!, B.shape[3]!];
  const wide = [length, batch, groups, 1, channels / groups];
  const cut = (x: tf.Tensor) => tf.transpose(tf.slice(x, [0, from, 0], [-1, length, -1]), [1, 0, 2]);
  const cutStates = (x: tf.Tensor) => tf.transpose(tf.slice(x, [0, from, 0, 0], [-1, length, -1, -1]), [1, 0, 2, 3]);
  const raw = tf.add(cut(delta), bias);
  const step = tf.reshape(softplus ? tf.softplus(raw) : raw, wide); // Δ
  const input = tf.reshape(cut(u), wide);
  const rate = tf.transpose(tf.reshape(A, [groups, channels / groups, states]), [0, 2, 1]); // [group, state, channel]
  const column = [length, batch, groups, states, 1];
  const into = tf.reshape(cutStates(B), column);
  const out = tf.reshape(cutStates(C), column);
  const decay = tf.exp(tf.mul(step, rate));
  const drive = tf.mul(tf.mul(step, input), into);
  return { raw, step, input, rate, into, out, decay, drive };
}

function forward(inputs: tf.Tensor[], { deltaSoftplus, workValues }: ScanSettings) {
  const [u, , A, B, , D] = inputs;
  const [batch, length, channels] = u.shape;
  const [groups, states] = [B.shape[2]!, A.shape[1]!];
  const each = blockLength(batch * channels * states, workValues);
  let state = tf.zeros([batch, groups, states, channels / groups]);
  const starts: tf.Tensor[] = [];
  const parts: tf.Tensor[] = [];
  for (let from = 0; from < length; from += each) {
    const size = Math.min(each, length - from);
    starts.push(state);
    const [part, last] = tf.tidy(() => {
      const { decay, drive, out } = block(inputs, from, size, deltaSoftplus);
      const h = scanPositions(decay, drive, state);
      const y = contract(out, h, true); // [position, batch, group, 1, channel]
      return [tf.reshape(y, [size, batch, channels]), tf.reshape(tf.slice(h, size - 1), state.shape)];
    });
    parts.push(part);
    state = last as typeof state;
  }
  return {
    y: tf.add(tf.transpose(parts.length > 1 ? tf.concat(parts) : parts[0], [1, 0, 2]), tf.mul(u, D)),
    state,
    starts: tf.stack(starts),
  };
}

function backward(dValue: tf.Tensor, inputs: tf.Tensor[], starts: tf.Tensor, settings: ScanSettings): tf.Tensor[] {
  const [u, , A, B, C, D, bias] = inputs;
  const [batch, length, channels] = u.shape;
  const [groups, states] = [B.shape[2]!, A.shape[1]!];
  const each = blockLength(batch * channels * states, settings.workValues);
  const stateShape = [batch, groups, states, channels / groups];
  const size = batch * length * channels;
  const dy = settings.wantState ? tf.reshape(tf.slice(tf.reshape(dValue, [-1]), 0, size), u.shape) : dValue;
  // The gradient that reaches the state after the last position of a block from what follows.
  let carry = settings.wantState
    ? fromChannels(tf.reshape(tf.slice(tf.reshape(dValue, [-1]), size), [batch, channels, states]), groups)
    : tf.zeros(stateShape);
  let dA = tf.zeros([groups, states, channels / groups]);
  const parts: { du: tf.Tensor[]; dRaw: tf.Tensor[]; dB: tf.Tensor[]; dC: tf.Tensor[] } = { du: [], dRaw: [], dB: [], dC: [] };
  for (let from = Math.floor((length - 1) / each) * each; from >= 0; from -= each) {
    const n = Math.min(each, length - from);
    const [du, dRaw, dB, dC, dAPart, handed] = tf.tidy(() => {
      const { raw, step, input, rate, into, out, decay, drive } = block(inputs, from, n, settings.deltaSoftplus);
      const start = tf.slice(starts, from / each, 1); // [1, …state]
      const h = scanPositions(decay, drive, tf.reshape(start, stateShape));
      const dOut = tf.reshape(tf.transpose(tf.slice(dy, [0, from, 0], [-1, n, -1]), [1, 0, 2]), input.shape);
      // The adjoint runs backwards: g_t = C_t dy_t + decay_{t+1} g_{t+1}.
      const nextDecay = n > 1 ? tf.concat([tf.slice(decay, 1), tf.ones([1, ...stateShape])]) : tf.ones([1, ...stateShape]);
      const g = scanPositions(nextDecay, tf.mul(out, dOut), carry, true);
      const before = n > 1 ? tf.concat([start, tf.slice(h, 0, n - 1)]) : start;
      const gDecay = tf.mul(g, decay);
      const dLog = tf.mul(gDecay, before); // gradient for Δ·A
      const gInto = contract(into, g, true); // Σ over states of B g
      const dStep = tf.add(tf.sum(tf.mul(dLog, rate), 3, true), tf.mul(gInto, input));
      const dRaw = settings.deltaSoftplus ? tf.mul(tf.reshape(dStep, raw.shape), tf.sigmoid(raw)) : tf.reshape(dStep, raw.shape);
      return [
        tf.reshape(tf.mul(gInto, step), raw.shape),
        dRaw,
        tf.reshape(contract(g, tf.mul(step, input), false), [n, batch, groups, states]),
        tf.reshape(contract(h, dOut, false), [n, batch, groups, states]),
        tf.add(dA, tf.sum(tf.mul(dLog, step), [0, 1])),
        tf.reshape(tf.slice(gDecay, 0, 1), stateShape),
      ];
    });
    parts.du.unshift(du);
    parts.dRaw.unshift(dRaw);
    parts.dB.unshift(dB);
    parts.dC.unshift(dC);
    dA = dAPart as typeof dA;
    carry = handed as typeof carry;
  }
  const whole = (list: tf.Tensor[]) => (list.length > 1 ? tf.concat(list) : list[0]);
  const dRaw = whole(parts.dRaw);
  return [
    tf.add(tf.transpose(whole(parts.du), [1, 0, 2]), tf.mul(dy, D)),
    tf.transpose(dRaw, [1, 0, 2]),
    tf.reshape(tf.transpose(dA, [0, 2, 1]), A.shape),
    tf.reshape(tf.transpose(whole(parts.dB), [1, 0, 2, 3]), B.shape),
    tf.reshape(tf.transpose(whole(parts.dC), [1, 0, 2, 3]), C.shape),
    tf.sum(tf.mul(dy, u), [0, 1]),
    tf.reshape(tf.sum(dRaw, [0, 1]), bias.shape),
  ];
}

/** `[batch, group, state, channel]` ↔ `[batch, all channels, state]`. */
const toChannels = (x: tf.Tensor) => tf.reshape(tf.transpose(x, [0, 1, 3, 2]), [x.shape[0], -1, x.shape[2]!]);
const fromChannels = (x: tf.Tensor, groups: number) =>
  tf.transpose(tf.reshape(x, [x.shape[0], groups, -1, x.shape[2]!]), [0, 1, 3, 2]);

/**
 * Sums over states (`a` `[…, state, 1]`, `b` `[…, state, channel]` → `[…, 1, channel]`) or over channels
 * (`a` `[…, state, channel]`, `b` `[…, 1, channel]` → `[…, state, 1]`), as a batched matrix product that makes no product tensor.
 */
function contract(a: tf.Tensor, b: tf.Tensor, overStates: boolean): tf.Tensor {
  const flat = (x: tf.Tensor) => tf.reshape(x, [-1, x.shape.at(-2)!, x.shape.at(-1)!]) as tf.Tensor3D;
  const product = overStates ? tf.matMul(flat(a), flat(b), true, false) : tf.matMul(flat(a), flat(b), false, true);
  return tf.reshape(product, [...a.shape.slice(0, -2), ...product.shape.slice(1)]);
}

function scanPositions(a: tf.Tensor, b: tf.Tensor, start: tf.Tensor, backwards = false): tf.Tensor {
  const values = start.size;
  const flat = (x: tf.Tensor) => tf.reshape(x, [-1, values]) as tf.Tensor2D;
  return tf.reshape(linearScan(flat(a), flat(b), tf.reshape(start, [1, values]), backwards), b.shape);
}

const radix = 16;

/**
 * h_t = a_t h_{t-1} + b_t for all t, from h_{-1} = `start`; `backwards`: h_t = a_t h_{t+1} + b_t from the end.
 *
 * Chunks of sixteen positions are run through at once, all chunks side by side, each from zero and with its running product
 * of a; the chunks' ends then form a sequence sixteen times shorter, which is scanned in the same way and handed to the chunks.
 * About four multiplications and additions a value, 16·log₁₆(length) steps.
 *
 * @param a `[position, value]`
 * @param b `[position, value]`
 * @param start `[1, value]`
 */
export function linearScan(a: tf.Tensor2D, b: tf.Tensor2D, start: tf.Tensor2D, backwards = false): tf.Tensor2D {
  const [length, values] = b.shape;
  const order = (n: number) => Array.from({ length: n }, (_, i) => (backwards ? n - 1 - i : i));
  if (length <= radix) {
    const [as, bs] = [tf.unstack(a), tf.unstack(b)];
    const hs: tf.Tensor[] = [];
    let h = tf.reshape(start, [values]) as tf.Tensor;
    for (const t of order(length)) {
      h = tf.add(tf.mul(as[t], h), bs[t]);
      hs[t] = h;
    }
    return tf.stack(hs) as tf.Tensor2D;
  }
  const chunks = Math.floor(length / radix);
  const rest = length - chunks * radix;
  if (rest > 0) {
    // The positions that fill no chunk come last.
    const at = backwards ? rest : chunks * radix;
    const [early, late] = backwards ? [rest, length - rest] : [length - rest, rest];
    const [a0, a1] = tf.split(a, [early, late]) as tf.Tensor2D[];
    const [b0, b1] = tf.split(b, [early, late]) as tf.Tensor2D[];
    if (backwards) {
      const h1 = linearScan(a1, b1, start, true);
      return tf.concat([linearScan(a0, b0, tf.slice(h1, 0, 1), true), h1]);
    }
    const h0 = linearScan(a0, b0, start, false);
    return tf.concat([h0, linearScan(a1, b1, tf.slice(h0, at - 1, 1), false)]);
  }
  const as = tf.unstack(tf.reshape(a, [chunks, radix, values]), 1); // radix tensors [chunk, value]
  const bs = tf.unstack(tf.reshape(b, [chunks, radix, values]), 1);
  const products: tf.Tensor2D[] = [];
  const locals: tf.Tensor2D[] = [];
  let previous = -1;
  for (const t of order(radix)) {
    const first = previous < 0;
    products[t] = (first ? as[t] : tf.mul(as[t], products[previous])) as tf.Tensor2D;
    locals[t] = (first ? bs[t] : tf.add(tf.mul(as[t], locals[previous]), bs[t])) as tf.Tensor2D;
    previous = t;
  }
  const ends = linearScan(products[previous], locals[previous], start, backwards); // [chunk, value]
  const handed = backwards ? tf.concat([tf.slice(ends, 1), start]) : tf.concat([start, tf.slice(ends, 0, chunks - 1)]);
  const hs = locals.map((local, t) => tf.add(local, tf.mul(products[t], handed)));
  return tf.reshape(tf.stack(hs, 1), [length, values]);
}

function check(u: tf.Tensor, delta: tf.Tensor, A: tf.Tensor, B: tf.Tensor, C: tf.Tensor, options: SelectiveScanOptions) {
  const faults = new FaultList();
  const [batch, length, channels] = u.shape as [number, number, number];
  const states = A.shape[1]!;
  const same = (name: string, x: tf.Tensor | undefined, ...shapes: (number | undefined)[][]) => {
    if (x && !shapes.some((shape) => shape.length === x.rank && shape.every((n, i) => n === x.shape[i])))
      faults.add(
        'shape',
        name,
        `[${x.shape}]`,
        shapes.map((s) => `[${s}]`).join(' or '),
        'Channels come last, the position second.',
      );
  };
  if (u.rank !== 3)
    faults.add('shape', 'u', `[${u.shape}]`, '[batch, length, channel]', 'Flatten the grid to one axis of positions.');
  else {
    same('delta', delta, [batch, length, channels]);
    same('A', A, [channels, states]);
    for (const [name, x] of [
      ['B', B],
      ['C', C],
    ] as const) {
      const groups = x.rank === 4 ? x.shape[2]! : 1;
      same(name, x, [batch, length, groups, states], [batch, length, states], [channels, states]);
      if (channels % groups !== 0)
        faults.add('groups', name, `${groups} groups`, `a divisor of ${channels} channels`, 'Each group has the same channels.');
    }
    if (B.rank === 4 && C.rank === 4) same('C', C, [batch, length, B.shape[2], states]);
    same('D', options.D, [channels]);
    same('deltaBias', options.deltaBias, [channels]);
    same('z', options.z, [batch, length, channels]);
  }
  faults.throwIfAny('The tensors of the selective scan do not fit together.');
}
