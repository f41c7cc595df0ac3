// How an object shows itself: a MIME bundle in a notebook, text in a terminal.
import { inspect } from 'node:util';

export { escapeText, plainText } from '../base/text.js';

/** What a notebook shows: MIME type → content. */
export type MimeBundle = Record<string, unknown>;

/** The method a notebook kernel asks for. */
export const display: unique symbol = Symbol.for('Jupyter.display') as never;

/** Something with a picture of itself for the notebook and a text for everywhere else. */
export abstract class NotebookOutput {
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

/** Text as text for plotly, which reads a little HTML (`<b>`, `<a href>`) in labels: none of it is left. */
export function plainLabel(value: unknown): string {
  return String(value)
    .replace(/</g, '‹')
    .replace(/>/g, '›')
    .replace(/&(?=[#\w]+;)/g, '＆');
}
