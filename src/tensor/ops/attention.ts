// Scaled dot-product attention with several heads, and the additive biases and masks of windowed attention.
//
//   softmax(q kᵀ · scale + bias + mask) v
//
// Memory: keeps q, k and v for the backward pass, not the length × length weights, which are computed again. While it
// works, at most `workValues` weights (or those of one head of one batch entry, if that is more) are alive, four times over.
import { FaultList } from '../../base/errors.js';
import { isRecorded, isSymbolic, symbolicOp } from '../symbolic.js';
import { tf } from '../tf.js';
import { customOp } from './customOp.js';

/** Heads, scale, biases and masks of attention. */
export interface AttentionOptions {
  /** Channels are `heads` groups, one behind the other. */
  heads: number;
  /** Default 1/√(channels of a head). */
  scale?: number;
  /** `[head, query, key]`: added to the scores, differentiable (relative position bias). */
  bias?: tf.Tensor;
  /**
   * `[window, query, key]`: added to the scores of batch entry b in row b modulo windows, differentiable. 0 where a query
   * sees a key, a large negative number where it does not.
   */
  mask?: tf.Tensor;
  /**
   * `[window, position]`: in batch entry b, positions of different regions (row b modulo windows) see each other with −100
   * added, as Swin masks shifted windows; needs as many keys as queries. Saves a length × length mask for every window.
   */
  regions?: tf.Tensor;
  /** `[batch, head, query, key]`: multiplies the weights (dropout: 0 or 1/(1 − rate)); not differentiable. */
  keep?: tf.Tensor;
  /** Weights computed at once; default 2²³. */
  workValues?: number;
}

/**
 * Scaled dot-product attention with several heads, as `torch.nn.functional.scaled_dot_product_attention` computes it.
 * @param q `[batch, query, channel]`
 * @param k `[batch, key, channel]`
 * @param v `[batch, key, channel]`; may have other channels than q and k
 * @returns `[batch, query, channel of v]`; the caller owns it
 * @throws VoxelbookError naming every shape that does not fit
 */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, options: AttentionOptions): tf.Tensor {
  check(q, k, v, options);
  const { heads, bias, mask, regions, keep, workValues = 2 ** 23 } = options;
  const [batch, queries, channels] = q.shape as [number, number, number];
  const [keys, outChannels] = [k.shape[1]!, v.shape[2]!];
  const scale = options.scale ?? (channels / heads) ** -0.5;
  const inputs = [q, k, v, bias, mask].filter((x) => x !== undefined);
  const outShape = [batch, queries, outChannels];
  if (isSymbolic() && !isRecorded()) {
    const macs = batch * queries * keys * (channels + outChannels);
    return symbolicOp('attention', inputs, outShape, { macs, gradientMacs: 2.5 * macs });
  }
  const parts = chunks(batch, heads, queries * keys, workValues);

  const kept = [q, k, v, bias, mask, regions, keep];
  return customOp(
    inputs,
    () => {
      const [qs, ks, vs] = [q, k, v].map((x) => splitHeads(x, heads));
      const outputs = parts.map((part) =>
        tf.tidy(() => {
          const w = weights(qs, ks, part, { scale, bias, mask, regions });
          return product(keep ? tf.mul(w, cut(keep, part)) : w, cut(vs, part));
        }),
      );
      const value = joinHeads(gather(outputs, parts, [batch, heads, queries, outChannels / heads]));
      return { value, keep: kept.filter((x) => x !== undefined) };
    },
    (dy, saved) => {
      const rest = [...saved];
      const [q, k, v, bias, mask, regions, keep] = kept.map((x) => (x ? rest.shift() : undefined));
      const [qs, ks, vs, dys] = [q!, k!, v!, dy].map((x) => splitHeads(x, heads));
      const gradients = parts.map((part) =>
        tf.tidy(() => {
          const w = weights(qs, ks, part, { scale, bias, mask, regions });
          const dropped = (x: tf.Tensor) => (keep ? tf.mul(x, cut(keep, part)) : x);
          const dOut = cut(dys, part);
          const dv = product(dropped(w), dOut, true);
          const dw = dropped(product(dOut, cut(vs, part), false, true));
          const dScores = tf.mul(w, tf.sub(dw, tf.sum(tf.mul(dw, w), -1, true)));
          const dq = tf.mul(product(dScores, cut(ks, part)), scale);
          const dk = tf.mul(product(dScores, cut(qs, part), true), scale);
          return { dq, dk, dv, ...(bias && { dBias: tf.sum(dScores, 0) }), ...(mask && { dMask: tf.sum(dScores, 1) }) };
        }),
      );
      const join = (key: 'dq' | 'dk' | 'dv', like: tf.Tensor) => {
        const list = gradients.map((g) => g[key]);
        return joinHeads(gather(list, parts, [batch, heads, like.shape[1]!, like.shape[2]! / heads]));
      };
      const all = [join('dq', q!), join('dk', k!), join('dv', v!)];
      if (bias)
        all.push(
          parts
            .map((part, i) => {
              const ends: [number, number][] = [
                [part.head, heads - part.head - part.heads],
                [0, 0],
                [0, 0],
              ];
              return tf.pad(gradients[i].dBias!, ends);
            })
            .reduce((a, b) => tf.add(a, b)),
        );
      if (mask) {
        const perEntry = parts.map((part, i) => {
          const ends: [number, number][] = [
            [part.entry, batch - part.entry - part.entries],
            [0, 0],
            [0, 0],
          ];
          return tf.pad(gradients[i].dMask!, ends);
        });
        const sum = perEntry.reduce((a, b) => tf.add(a, b));
        all.push(tf.sum(tf.reshape(sum, [batch / mask.shape[0], ...mask.shape]), 0));
      }
      return all;
    },
  );
}

/** Softmax weights of one chunk, `[entry, head, query, key]`; q and k are `[batch, head, position, channel of a head]`. */
function weights(
  q: tf.Tensor,
  k: tf.Tensor,
  part: Chunk,
  { scale, bias, mask, regions }: Pick<AttentionOptions, 'bias' | 'mask' | 'regions'> & { scale: number },
): tf.Tensor {
  const rowsOf = (x: tf.Tensor) =>
    tf.gather(x, tf.tensor1d(Int32Array.from({ length: part.entries }, (_, i) => (part.entry + i) % x.shape[0])));
  let scores: tf.Tensor = tf.mul(product(cut(q, part), cut(k, part), false, true), scale);
  if (bias) scores = tf.add(scores, tf.slice(bias, [part.head, 0, 0], [part.heads, -1, -1]));
  if (mask) scores = tf.add(scores, tf.expandDims(rowsOf(mask), 1));
  if (regions) {
    const own = rowsOf(regions); // [entry, position]
    const apart = tf.cast(tf.notEqual(tf.expandDims(own, 2), tf.expandDims(own, 1)), 'float32');
    scores = tf.add(scores, tf.expandDims(tf.mul(apart, -100), 1));
  }
  return tf.softmax(scores);
}

/** Some batch entries with all their heads, or some heads of one entry. */
interface Chunk {
  entry: number;
  entries: number;
  head: number;
  heads: number;
}

function chunks(batch: number, heads: number, values: number, limit: number): Chunk[] {
  const entries = Math.max(1, Math.floor(limit / (heads * values)));
  const perChunk = heads * values > limit ? Math.max(1, Math.floor(limit / values)) : heads;
  const list: Chunk[] = [];
  for (let entry = 0; entry < batch; entry += entries)
    for (let head = 0; head < heads; head += perChunk)
      list.push({ entry, entries: Math.min(entries, batch - entry), head, heads: Math.min(perChunk, heads - head) });
  return list;
}

const cut = (x: tf.Tensor, part: Chunk) => tf.slice(x, [part.entry, part.head, 0, 0], [part.entries, part.heads, -1, -1]);

/** Chunks in order back to `[batch, head, position, channel]`. */
function gather(list: tf.Tensor[], parts: Chunk[], shape: number[]): tf.Tensor {
  if (list.length === 1) return list[0];
  const whole =
    parts[0].heads === shape[1] ? tf.concat(list, 0) : tf.concat(list.map((x) => tf.reshape(x, [-1, ...shape.slice(2)])));
  return tf.reshape(whole, shape);
}

/** `[batch, length, channel]` ↔ `[batch, head, length, channel of a head]`. */
const splitHeads = (x: tf.Tensor, heads: number) =>
  tf.transpose(tf.reshape(x, [x.shape[0], x.shape[1]!, heads, x.shape[2]! / heads]), [0, 2, 1, 3]);
const joinHeads = (x: tf.Tensor) =>
  tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [x.shape[0], x.shape[2]!, x.shape[1]! * x.shape[3]!]);

/** Matrix product of the last two axes of rank-4 tensors. */
function product(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  const flat = (x: tf.Tensor) => tf.reshape(x, [-1, x.shape[2]!, x.shape[3]!]);
  const y = tf.matMul(flat(a), flat(b), transposeA, transposeB);
  return tf.reshape(y, [a.shape[0], a.shape[1]!, y.shape[1], y.shape[2]] as [number, number, number, number]);
}

function check(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, { heads, bias, mask, regions, keep }: AttentionOptions) {
  const faults = new FaultList();
  const [batch, queries, channels] = q.shape;
  const [, keys] = k.shape;
  const same = (name: string, x: tf.Tensor | undefined, shape: (number | undefined)[]) => {
    if (x && (x.rank !== shape.length || shape.some((n, i) => n !== undefined && n !== x.shape[i])))
      faults.add('shape', name, `[${x.shape}]`, `[${shape.map((n) => n ?? '*')}]`, 'Axes are [batch, position, channel].');
  };
  same('q', q, [undefined, undefined, undefined]);
  same('k', k, [batch, undefined, channels]);
  same('v', v, [batch, keys, undefined]);
  for (const [name, x] of [
    ['q', q],
    ['v', v],
  ] as const)
    if (x.shape.at(-1)! % heads !== 0)
      faults.add('heads', name, `${x.shape.at(-1)} channels, ${heads} heads`, 'a multiple', 'Each head has the same channels.');
  same('bias', bias, [heads, queries, keys]);
  same('mask', mask, [undefined, queries, keys]);
  same('regions', regions, [undefined, queries]);
  if (regions && queries !== keys)
    faults.add('regions', 'regions', `${queries} queries, ${keys} keys`, 'as many', 'Give a mask instead.');
  same('keep', keep, [batch, heads, queries, keys]);
  if (mask && batch! % mask.shape[0] !== 0)
    faults.add(
      'windows',
      'mask',
      `${mask.shape[0]} windows`,
      `a divisor of the batch ${batch}`,
      'Windows are part of the batch.',
    );
  faults.throwIfAny('Attention was given tensors that do not fit together.');
}
