// Tables that show themselves in a notebook cell and on a terminal. Every outside string is escaped.
import { inspect } from 'node:util';
import { escapeText, plainText } from './text.js';

/** A value the kernel displays: mime bundle by `Symbol.for('Jupyter.display')`, one screen of text by `util.inspect`. */
export interface Shown {
  text: string;
  html: string;
}

/** A table with a caption, as html and as text. Cells are plain text (escaped here). */
export function shownTable(caption: string, columns: readonly string[], rows: readonly (readonly unknown[])[]): Shown {
  const cell = (tag: string) => (value: unknown) =>
    `<${tag} style="text-align:left;padding:2px 10px">${escapeText(value ?? '')}</${tag}>`;
  // Of nothing there are no columns to name.
  const names = rows.length > 0 ? columns : [];
  const head = `<tr>${names.map(cell('th')).join('')}</tr>`;
  const body = rows.map((row) => `<tr>${row.map(cell('td')).join('')}</tr>`).join('');
  const html = `<table><caption style="text-align:left;font-weight:bold">${escapeText(caption)}</caption><thead>${head}</thead><tbody>${body}</tbody></table>`;
  const table = [names, ...rows].map((row) => row.map((value) => plainText(value ?? '')));
  const widths = columns.map((_, i) => Math.max(...table.map((row) => (row[i] ?? '').length)));
  const lines = table.map((row) =>
    row
      .map((value, i) => value.padEnd(widths[i]))
      .join('  ')
      .trimEnd(),
  );
  return { html, text: [plainText(caption), ...lines].join('\n').trimEnd() };
}

/** An object that only shows: what `plan.show(p)` and its like return. */
export function shown(...parts: Shown[]): Shown {
  const text = parts.map((p) => p.text).join('\n\n');
  const html = parts.map((p) => p.html).join('');
  return displayed({ text, html }, { text, html });
}

/** Gives `value` its display without adding a visible property: it stays plain JSON. `as` is asked when somebody looks. */
export function displayed<T extends object>(value: T, as: Shown): T {
  Object.defineProperty(value, Symbol.for('Jupyter.display'), {
    value: () => ({ 'text/html': as.html, 'text/plain': as.text }),
    enumerable: false,
    configurable: true,
  });
  Object.defineProperty(value, inspect.custom, { value: () => as.text, enumerable: false, configurable: true });
  return value;
}
