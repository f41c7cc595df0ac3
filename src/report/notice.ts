// Progress and errors as cell output: names and messages from outside stay text.

import { VoxelbookError } from '../base/errors.js';
import type { Progress } from '../base/progress.js';
import { duration } from '../base/text.js';
import { escapeText, type MimeBundle, NotebookOutput, plainText } from './display.js';

/** A line or box of text in a cell, replaced as work goes on. */
class Notice extends NotebookOutput {
  constructor(
    private readonly html: string,
    private readonly text: string,
  ) {
    super();
  }
  toHtml(): string {
    return this.html;
  }
  bundle(): MimeBundle {
    return { 'text/html': this.html, 'text/plain': this.text };
  }
  override toString(): string {
    return this.text;
  }
}

export type { Notice };

/** A bar with what is done, how far, and the time left. */
export function progress({ what, done, total, etaSeconds }: Progress): Notice {
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  const left = etaSeconds === null || !Number.isFinite(etaSeconds) ? '' : `, ${duration(etaSeconds)} left`;
  const text = `${what}: ${done} of ${total}${left}`;
  return new Notice(
    `<div style="font-size:90%"><div style="background:#e5e5e5;height:0.7em;width:30em;max-width:100%"><div style="background:#0072b2;height:100%;width:${(share * 100).toFixed(1)}%"></div></div>${escapeText(text)}</div>`,
    plainText(text),
  );
}

/** An error with every fault: what was given, what is expected, what to do. */
export function errorNotice(error: unknown): Notice {
  const message = error instanceof Error ? error.message : String(error);
  const faults = error instanceof VoxelbookError ? error.faults : [];
  const rows = faults
    .map(
      (f) =>
        `<tr>${[f.path, f.given, f.expected, f.fix].map((v) => `<td style="text-align:left">${escapeText(v)}</td>`).join('')}</tr>`,
    )
    .join('');
  const head = ['where', 'given', 'expected', 'what to do'].map((h) => `<th style="text-align:left">${h}</th>`).join('');
  const table = rows ? `<table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table>` : '';
  const first = faults.length > 0 ? message.split('\n')[0] : message;
  return new Notice(
    `<div style="border-left:4px solid #d55e00;padding-left:0.6em"><div style="white-space:pre-wrap">${escapeText(first)}</div>${table}</div>`,
    message.split('\n').map(plainText).join('\n'),
  );
}
