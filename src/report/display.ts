// How an object shows itself: a MIME bundle in a notebook, text in a terminal.
import { inspect } from 'node:util';

export type MimeBundle = Record<string, unknown>;

/** The method a notebook kernel asks for. */
export const display: unique symbol = Symbol.for('Jupyter.display') as never;

/** Something with a picture of itself for the notebook and a text for everywhere else. */
export abstract class Shown {
  /** What the notebook gets; `text/plain` is always in it. */
  abstract bundle(): MimeBundle;
  abstract toString(): string;

  [display](): MimeBundle {
    return this.bundle();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/**
 * Text from outside (a case, a label, a path, an error) as text inside HTML, an attribute or SVG. Characters XML forbids become
 * the replacement character.
 */
export function escapeText(value: unknown): string {
  return String(value)
    .replace(/(?![\n\t\r])\p{Cc}|\p{Cs}|[\ufffe\uffff]/gu, '\ufffd')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;')
    .replace(/`/g, '&#96;');
}

/** Text as text for plotly, which reads a little HTML (`<b>`, `<a href>`) in labels: none of it is left. */
export function plainLabel(value: unknown): string {
  return String(value)
    .replace(/</g, '‹')
    .replace(/>/g, '›')
    .replace(/&(?=[#\w]+;)/g, '＆');
}

/** Text for a terminal: no escape sequence of a name moves the cursor. */
export const plainText = (value: unknown) => String(value).replace(/\p{Cc}/gu, '\ufffd');
