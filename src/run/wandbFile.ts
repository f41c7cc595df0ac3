// The log of a Weights & Biases run that was made offline, as wandb's own `DataStore` writes it: a LevelDB log (records cut into blocks of
// 32 kB) of `Record` messages (wandb/proto/wandb_internal.proto).
import zlib from 'node:zlib';
import { bytes, integer, type Pieces, text } from '../base/protobuf.js';

/** What was measured at a step. */
export interface WandbRow {
  step: number;
  /** Since the run began. */
  seconds: number;
  values: Record<string, number>;
}

/** A run and what it is made of. */
export interface WandbRun {
  id: string;
  project: string;
  name: string;
  /** Whole seconds since 1970. */
  startTime: number;
  config: Record<string, unknown>;
  /** In the order of their steps. */
  rows: readonly WandbRow[];
}

/** The whole file. */
export function wandbFile({ id, project, name, startTime, config, rows }: WandbRun): Buffer {
  const histories = rows.map(({ step, seconds, values }) => ({
    step,
    values: { ...values, _timestamp: startTime + seconds, _runtime: seconds, _step: step },
  }));
  // The last value of each key stands in the run's summary.
  const last: Record<string, number> = Object.assign({}, ...histories.map(({ values }) => values));
  const settings = Object.entries(config).flatMap(([key, value]) =>
    bytes(1, [...text(1, key), ...text(16, JSON.stringify(value))]),
  );
  const records = [
    bytes(21, bytes(1, text(1, 'voxelbook'))),
    bytes(17, [
      ...[text(1, id), text(3, project), bytes(4, settings), text(8, name)].flat(),
      ...bytes(17, startTime === 0 ? [] : integer(1, startTime)),
    ]),
    ...histories.map(({ step, values }) => bytes(2, [...items(values), ...bytes(2, step === 0 ? [] : integer(1, step))])),
    ...(rows.length > 0 ? [bytes(3, items(last))] : []),
    bytes(18, []),
  ];
  const header = Buffer.from([...Buffer.from(':W&B'), 0xe1, 0xbe, 0]);
  return records
    .reduce<Log>((log, record, i) => log.add(Buffer.concat([...integer(1, i + 1), ...record])), new Log(header))
    .whole();
}

/** Keys with dots or slashes are one name, not a path: each is a list of one. */
const items = (values: Record<string, number>): Pieces =>
  Object.entries(values).flatMap(([key, value]) => bytes(1, [...text(2, key), ...text(16, JSON.stringify(value))]));

const blockBytes = 32768;
const headBytes = 7;
const [full, first, middle, last] = [1, 2, 3, 4];

/** Records one after another; none of their pieces crosses the end of a block. */
class Log {
  private readonly parts: Buffer[] = [];
  private at = 0;

  constructor(header: Buffer) {
    this.put(header);
  }

  add(record: Buffer): this {
    let rest = record;
    if (this.room() < headBytes) this.put(Buffer.alloc(this.room()));
    if (rest.length + headBytes <= this.room()) return this.piece(rest, full);
    for (let kind = first; kind !== last; ) {
      const size = this.room() - headBytes;
      this.piece(rest.subarray(0, size), kind);
      rest = rest.subarray(size);
      kind = rest.length > this.room() - headBytes ? middle : last;
    }
    return this.piece(rest, last);
  }

  whole = () => Buffer.concat(this.parts);

  private room = () => blockBytes - (this.at % blockBytes);

  private piece(data: Buffer, kind: number): this {
    const head = Buffer.alloc(headBytes);
    head.writeUInt32LE(zlib.crc32(data, zlib.crc32(Buffer.from([kind]))));
    head.writeUInt16LE(data.length, 4);
    head[6] = kind;
    this.put(head);
    this.put(data);
    return this;
  }

  private put(data: Buffer): void {
    this.parts.push(data);
    this.at += data.length;
  }
}
