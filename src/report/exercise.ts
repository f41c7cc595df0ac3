// Checking an answer of the course: right, or what is probably wrong. Nothing here throws, so that a lesson runs to its end unsolved;
// only where nbgrader grades, which counts errors, is anything but a right answer one.
import { escapeText, type MimeBundle, NotebookOutput, plainText } from './display.js';

/** An answer of a course's exercise. */
export type Answer = number | string | boolean | readonly number[] | readonly string[];

/** How exactly an answer must be right, and what is said about wrong ones. */
export interface CheckOptions {
  /** Largest difference of a number that still counts as right; default 1e-6 of the expected value. */
  tolerance?: number;
  /** Known mistakes: a wrong answer, or a test for one, and what to say about it. The first that fits is said. */
  hints?: readonly (readonly [wrong: Answer | ((given: any) => boolean), say: string])[];
  /** Said after a right answer: what it is good for. */
  because?: string;
}

/** How an answer was found; `open`: nothing was answered yet. */
export type Verdict = 'right' | 'wrong' | 'open';

/** The outcome of one check; shows itself. */
export class Checked extends NotebookOutput {
  constructor(
    readonly name: string,
    readonly verdict: Verdict,
    readonly message: string,
  ) {
    super();
  }

  bundle(): MimeBundle {
    const { sign, colour } = looks[this.verdict];
    const style = `border-left:4px solid ${colour};padding:4px 10px;margin:2px 0`;
    const html = `<div style="${style}"><b style="color:${colour}">${sign} ${escapeText(this.name)}</b> ${escapeText(this.message)}</div>`;
    return { 'text/html': html, 'text/plain': this.toString() };
  }

  override toString(): string {
    return plainText(`${looks[this.verdict].sign} ${this.name}: ${this.message}`);
  }
}

const looks = {
  right: { sign: '✓', colour: '#1a7f37' },
  wrong: { sign: '✗', colour: '#b35900' },
  open: { sign: '…', colour: '#57606a' },
};

/**
 * Checks an answer and says what is wrong with it, without giving it away.
 * @param name of the exercise, as shown
 * @param given the answer; a function is called, and what it throws is explained; undefined means not answered yet
 * @param expected the right answer; numbers within `tolerance`, lists item by item, text without regard to case
 * @returns a notice that shows itself
 * @throws WrongAnswer under nbgrader (`NBGRADER_EXECUTION` is set: it gives the points of every check that does not fail); nowhere else
 */
export function check(name: string, given: unknown, expected: Answer, options: CheckOptions = {}): Checked {
  const checked = judge(name, given, expected, options);
  if (process.env.NBGRADER_EXECUTION && checked.verdict !== 'right') throw new WrongAnswer(String(checked));
  return checked;
}

/** An answer that earns no points. */
export class WrongAnswer extends Error {
  override name = 'WrongAnswer';
}

function judge(name: string, given: unknown, expected: Answer, options: CheckOptions): Checked {
  const wrong = (message: string) => new Checked(name, 'wrong', message);
  let answer: unknown;
  try {
    answer = typeof given === 'function' ? given() : given;
  } catch (error) {
    return wrong(`Your code stopped with: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (answer === undefined || answer === null)
    return new Checked(name, 'open', 'Not answered yet: put your answer in the cell above and run both cells again.');
  const value = ArrayBuffer.isView(answer) ? Array.from(answer as Float32Array) : answer;
  if (same(value, expected, options.tolerance)) return new Checked(name, 'right', options.because ?? 'Right.');
  const hint = options.hints?.find(([mistake]) => fits(mistake, value, expected, options.tolerance));
  return wrong(`${shown(value)} is not it. ${hint?.[1] ?? likelyMistake(value, expected, options.tolerance)}`);
}

/** An answer as its reader would write it; objects by their kind. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `“${value}”`;
  if (Array.isArray(value)) {
    const items = value.slice(0, 8).map((item) => (Array.isArray(item) ? `a list of ${item.length}` : shown(item)));
    return `[${items.join(', ')}${value.length > 8 ? ', …' : ''}]`;
  }
  if (typeof value === 'object' && value !== null) return `An object (${value.constructor?.name ?? 'without a class'})`;
  return String(value);
}

/** Whether an answer is a known mistake; one much larger than the answer is given with fewer digits after the point. */
function fits(mistake: Answer | ((given: any) => boolean), value: unknown, expected: Answer, tolerance?: number): boolean {
  if (typeof mistake === 'number' && typeof expected === 'number' && tolerance !== undefined && expected !== 0)
    return same(value, mistake, tolerance * Math.max(1, Math.abs(mistake / expected)));
  if (typeof mistake !== 'function') return same(value, mistake, tolerance);
  try {
    return mistake(value);
  } catch {
    // A test written for numbers, asked about something else.
    return false;
  }
}

function same(given: unknown, expected: unknown, tolerance?: number): boolean {
  if (Array.isArray(expected))
    return Array.isArray(given) && given.length === expected.length && expected.every((e, i) => same(given[i], e, tolerance));
  if (typeof expected === 'number' && typeof given === 'number') {
    if (Number.isNaN(expected)) return Number.isNaN(given);
    return Math.abs(given - expected) <= (tolerance ?? Math.max(1e-6 * Math.abs(expected), 1e-12)) || given === expected;
  }
  if (typeof expected === 'string' && typeof given === 'string')
    return given.trim().toLowerCase() === expected.trim().toLowerCase();
  return given === expected;
}

/** What can be said of a wrong answer without knowing the exercise. */
function likelyMistake(given: unknown, expected: unknown, tolerance?: number): string {
  if (Array.isArray(expected)) return listMistake(given, expected, tolerance);
  if (typeof given !== typeof expected) return kindMistake(given, expected);
  if (typeof given === 'number' && typeof expected === 'number') return numberMistake(given, expected, tolerance);
  if (typeof expected === 'string' && expected.length === 1)
    return String(given).trim().length === 1
      ? 'Choose one of the letters given in the question.'
      : 'One letter alone is asked for, without signs or words around it.';
  return 'Read the question once more.';
}

function kindMistake(given: unknown, expected: unknown): string {
  const wanted = { number: 'a number', string: 'a text', boolean: 'true or false' }[typeof expected as 'number'];
  if (given instanceof Promise) return `It is not there yet: write await before it. Then ${wanted} is asked for.`;
  if (Array.isArray(given)) return `That is a list; ${wanted} is asked for.`;
  if (typeof (given as { dataSync?: unknown } | undefined)?.dataSync === 'function')
    return `That is a tensor; ${wanted} is asked for: dataSync() gives its values.`;
  if (typeof expected === 'number' && typeof given === 'string' && given.trim() !== '' && !Number.isNaN(Number(given)))
    return 'That is a text; a number is asked for: leave the quotation marks away.';
  const kinds: Record<string, string> = { number: 'a number', string: 'a text', boolean: 'true or false', object: 'an object' };
  return `That is ${kinds[typeof given] ?? `a ${typeof given}`}; ${wanted} is asked for.`;
}

function listMistake(given: unknown, expected: unknown[], tolerance?: number): string {
  if (given instanceof Promise)
    return `It is not there yet: write await before it. A list of ${expected.length} values is asked for.`;
  if (!Array.isArray(given)) return `A list of ${expected.length} values is asked for.`;
  if (given.length !== expected.length)
    return `The list has ${given.length} ${given.length === 1 ? 'value' : 'values'}; ${expected.length} are asked for.`;
  if (same([...given].reverse(), expected, tolerance))
    return `The values are right, the order is reversed.${expected.length === 3 ? ' Axes are [depth, height, width], slowest first.' : ''}`;
  const sorted = (list: unknown[]) => [...list].sort((a, b) => Number(a) - Number(b));
  if (expected.every((e) => typeof e === 'number') && same(sorted(given), sorted(expected), tolerance))
    return 'The values are right, but in another order.';
  const strange = expected.findIndex((e, i) => typeof given[i] !== typeof e);
  if (strange >= 0) return `Look at entry ${strange} (counted from 0). ${kindMistake(given[strange], expected[strange])}`;
  const off = expected.flatMap((e, i) => (same(given[i], e, tolerance) ? [] : [i]));
  if (off.length === expected.length) return 'No entry is right yet: look for one mistake that touches all of them.';
  const [first] = off;
  const detail = likelyMistake(given[first], expected[first], tolerance);
  return `${off.length === 1 ? 'Only entry' : 'The first wrong entry is'} ${first} (counted from 0). ${detail}`;
}

function numberMistake(given: number, expected: number, tolerance = 0): string {
  if (Number.isNaN(given)) return 'NaN: something was divided by zero, or a value was missing.';
  // As exact in proportion as the answer itself has to be.
  const share = expected === 0 ? 0 : Math.max(1e-6, tolerance / Math.abs(expected));
  const near = (value: number) => Math.abs(given - value) <= share * Math.abs(value);
  if (expected !== 0) {
    if (near(-expected)) return 'The size is right, the sign is not.';
    if (near(1 / expected)) return 'It is upside down: you divided the other way round.';
    if (near(1 - expected)) return 'It is one minus the answer.';
  }
  if (Number.isInteger(expected) && Math.abs(given - expected) === 1) return 'It is off by one.';
  if (expected !== 0) {
    for (const factor of [1000, 1e6, 100, 10])
      if (near(expected * factor) || near(expected / factor))
        return `It is off by a factor of ${factor.toLocaleString('en')}: check the unit.`;
    for (const factor of [2, 3, 4, 8])
      if (near(expected * factor) || near(expected / factor)) return `It is off by a factor of ${factor}.`;
    if (near(expected ** 2) || near(expected ** 3)) return 'It is a power of the answer: count the axes again.';
  }
  if (Math.abs(given - expected) <= 0.02 * Math.abs(expected))
    return 'It is close: rounded too early? Let the code do the sum, or give more digits.';
  return given > expected ? 'It is too large.' : 'It is too small.';
}
