// What a row of the test matrix is, and what becomes of its inputs.

/**
 * What became of an input that harmed nothing: refused by a typed error; accepted and just as it must be (a peer's reading, the bytes that
 * were written, the one owner); accepted and sound, with nobody to compare with.
 */
export type Outcome = 'refused' | 'equal' | 'sound';

export interface Context {
  seed: number;
  /** Inputs first … first + count − 1 are tried. */
  first: number;
  count: number;
  /** The N that was asked for. */
  asked: number;
  /** An empty folder of this process alone. */
  scratch: string;
  /** A Python with the peers' packages. */
  python?: string;
}

export interface Row {
  /** Of RELIABILITY's matrix: F1 …; `F1 png`. */
  id: string;
  what: string;
  /** How many of N inputs are tried: dear inputs are fewer, finite ones all. */
  inputs(n: number): number;
  /** Seconds without an end of an input after which it hangs; default 60. */
  seconds?: number;
  /** MiB an input may add to the process; default 400. */
  memoryMiB?: number;
  /** Prepares, and gives what tries input `i`; it throws a `VoxelbookError` where the input is refused. */
  begin(context: Context): Tried | Promise<Tried>;
}

export type Try = (i: number) => Outcome | Promise<Outcome>;
export type Tried = Try | { one: Try; end(): void | Promise<void> };

/** Accepted, and not what it must be. */
export class Different extends Error {}
/** Something good is gone. */
export class Lost extends Error {}

/** One line of `told`. */
export type Told = [i: number, what: Outcome | 'different' | 'lost' | 'crash' | 'memory', text?: string];

/** What moves a cursor, or turns the direction of writing. */
export const steersTerminal = /(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u;

/** Throws `Different` unless it holds. */
export function must(holds: boolean, text: string | (() => string)): asserts holds {
  if (!holds) throw new Different(typeof text === 'string' ? text : text());
}
