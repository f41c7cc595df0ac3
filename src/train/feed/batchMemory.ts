// Memory of batches: shared with the workers, which write every sample to its place in it, and used again once a batch is given back.
// Fresh memory costs more than reading a patch: a fault every 4 kB.
import { nativeFunctions } from '../../base/native/load.js';
import { product } from '../../base/shape.js';

/** A batch of samples, as arrays. */
export interface Batch {
  caseIds: string[];
  /** `[batch, depth, height, width, channel]`, in that order. */
  image: Float32Array;
  channels: number;
  /** Labels at each supervised resolution, `[batch, depth, height, width]`. */
  labels: Int32Array[];
  /** Gives the arrays back to the feed, which writes later batches into them: nothing made of them may be in use any more, tensors included. */
  release?(): void;
}

/** Where a sample is written. */
export interface SamplePlace {
  /** `[depth, height, width, channel]`. */
  image: Float32Array;
  /** Labels at each supervised resolution. */
  labels: Int32Array[];
}

/** Of a `SampleSource`. */
interface Sizes {
  batchSize: number;
  patch: readonly number[];
  channels: number;
  outputShapes: readonly (readonly number[])[];
}

/** Numbers of a sample: of its image, and of its labels at each resolution. */
const lengthsOf = ({ patch, channels, outputShapes }: Sizes) => [product(patch) * channels, ...outputShapes.map(product)];

/** The samples from `first` on, `count` of them, in a batch's memory. */
function views(sizes: Sizes, memory: SharedArrayBuffer, first: number, count: number): SamplePlace {
  let begin = 0;
  const [image, ...labels] = lengthsOf(sizes).map((n) => {
    const own = [begin + 4 * n * first, n * count] as const;
    begin += 4 * n * sizes.batchSize;
    return own;
  });
  return {
    image: new Float32Array(memory, ...image),
    labels: labels.map((own) => new Int32Array(memory, ...own)),
  };
}

/** The place of sample `position` in a batch's memory. */
export const placeOf = (sizes: Sizes, memory: SharedArrayBuffer, position: number): SamplePlace =>
  views(sizes, memory, position, 1);

/** Lends memory for batches of one size. */
export class BatchMemory {
  private readonly free: SharedArrayBuffer[] = [];

  constructor(private readonly sizes: Sizes) {}

  take(): SharedArrayBuffer {
    const bytes = 4 * this.sizes.batchSize * lengthsOf(this.sizes).reduce((a, b) => a + b, 0);
    const free = this.free.pop();
    if (free) return free;
    const memory = new SharedArrayBuffer(bytes);
    nativeFunctions()?.inLargePages(new Uint8Array(memory));
    return memory;
  }

  /** The batch in `memory`, whose samples are written. */
  batch(memory: SharedArrayBuffer, caseIds: string[]): Batch {
    return new Lent(caseIds, this.sizes.channels, views(this.sizes, memory, 0, this.sizes.batchSize), () =>
      this.free.push(memory),
    );
  }
}

class Lent implements Batch {
  readonly image: Float32Array;
  readonly labels: Int32Array[];
  #giveBack: (() => void) | undefined;

  constructor(
    readonly caseIds: string[],
    readonly channels: number,
    { image, labels }: SamplePlace,
    giveBack: () => void,
  ) {
    this.image = image;
    this.labels = labels;
    this.#giveBack = giveBack;
  }

  release(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }
}
