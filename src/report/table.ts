// A table of results: numbers kept as an arquero table, shown with best values marked, exported as CSV, Markdown, LaTeX and HTML.

import { table as arqueroTable, type ColumnTable } from 'arquero';
import { atomicWrite } from '../base/atomicWrite.js';
import { escapeText, type MimeBundle, NotebookOutput, plainText } from './display.js';

/** A column of a table of results. */
export interface Column {
  key: string;
  label: string;
  /** Group heading above several columns. */
  group?: string;
  align?: 'left' | 'right';
}

/** One cell: the number, and how it is shown. A missing value has a `why`. */
export interface Cell {
  value: number | string | null;
  text: string;
  why?: string;
  mark?: 'best' | 'second';
}

/** A table of results: shown in a cell, saved as CSV, Markdown and LaTeX. */
export class ResultTable extends NotebookOutput {
  /** One column per `columns` entry, raw values. */
  readonly data: ColumnTable;

  constructor(
    readonly caption: string,
    readonly columns: readonly Column[],
    readonly cells: readonly Record<string, Cell>[],
    /** How the numbers were made: definition, tolerance, empty masks, interval, test. */
    readonly notes: readonly string[] = [],
  ) {
    super();
    this.data = arqueroTable(
      Object.fromEntries(columns.map((c) => [c.key, cells.map((row) => row[c.key]?.value ?? null)])),
      columns.map((c) => c.key),
    );
  }

  /** Missing cells and the reasons, each reason once. */
  get footnotes(): string[] {
    const reasons = new Set<string>();
    for (const row of this.cells) for (const c of this.columns) if (row[c.key]?.why) reasons.add(row[c.key].why!);
    return [...this.notes, ...[...reasons].map((why, i) => `${marker(i)} ${why}`)];
  }

  private textOf(row: Record<string, Cell>, key: string): string {
    const cell = row[key];
    if (!cell) return '';
    if (!cell.why) return cell.text;
    const reasons = [...new Set(this.cells.flatMap((r) => this.columns.flatMap((c) => r[c.key]?.why ?? [])))];
    return `${cell.text} ${marker(reasons.indexOf(cell.why))}`;
  }

  /**
   * Writes the table beside each other as `<stem>.csv`, `.md`, `.tex`, `.html` and `.txt`.
   * @param stem path without ending; its folder must exist
   */
  save(stem: string): void {
    atomicWrite(`${stem}.csv`, this.toCsv());
    atomicWrite(`${stem}.md`, this.toMarkdown());
    atomicWrite(`${stem}.tex`, this.toLatex());
    atomicWrite(`${stem}.html`, this.toHtml());
    atomicWrite(`${stem}.txt`, `${this.toString()}\n`);
  }

  /** Raw values, full precision. A cell that a spreadsheet would run as a formula is kept text by a leading quote mark. */
  toCsv(): string {
    const lines = [this.columns.map((c) => csv([c.group, c.label].filter(Boolean).join(' ')))];
    for (const row of this.cells)
      lines.push(this.columns.map((c) => csv(row[c.key]?.value ?? (row[c.key]?.why ? `missing: ${row[c.key].why}` : ''))));
    return `${lines.map((line) => line.join(',')).join('\n')}\n`;
  }

  toMarkdown(): string {
    const head = this.columns.map((c) => markdown([c.group, c.label].filter(Boolean).join(' ')));
    const rule = this.columns.map((c) => (c.align === 'right' ? '---:' : '---'));
    const body = this.cells.map((row) =>
      this.columns.map((c) => {
        const text = markdown(this.textOf(row, c.key));
        return row[c.key]?.mark === 'best' ? `**${text}**` : text;
      }),
    );
    const lines = [head, rule, ...body].map((line) => `| ${line.join(' | ')} |`);
    return `${markdown(this.caption)}\n\n${lines.join('\n')}\n\n${this.footnotes.map(markdown).join('  \n')}\n`;
  }

  /** A booktabs table; best values bold, second best underlined. */
  toLatex(): string {
    const columns = this.columns.map((c) => (c.align === 'right' ? 'r' : 'l')).join('');
    const groups = groupsOf(this.columns);
    const lines = [
      '\\begin{table}',
      '\\centering',
      `\\caption{${latex(this.caption)}}`,
      `\\begin{tabular}{${columns}}`,
      '\\toprule',
    ];
    if (groups.some((g) => g.label)) {
      lines.push(`${groups.map((g) => `\\multicolumn{${g.span}}{c}{${latex(g.label)}}`).join(' & ')} \\\\`);
      let at = 1;
      const rules = groups.flatMap((g) => {
        const from = at;
        at += g.span;
        return g.label ? [`\\cmidrule(lr){${from}-${at - 1}}`] : [];
      });
      lines.push(rules.join(' '));
    }
    lines.push(`${this.columns.map((c) => latex(c.label)).join(' & ')} \\\\`, '\\midrule');
    for (const row of this.cells)
      lines.push(
        `${this.columns
          .map((c) => {
            const text = latex(this.textOf(row, c.key));
            const mark = row[c.key]?.mark;
            return mark === 'best' ? `\\textbf{${text}}` : mark === 'second' ? `\\underline{${text}}` : text;
          })
          .join(' & ')} \\\\`,
      );
    lines.push('\\bottomrule', '\\end{tabular}', '', `{\\footnotesize ${this.footnotes.map(latex).join(' ')}}`, '\\end{table}');
    return `${lines.join('\n')}\n`;
  }

  toHtml(): string {
    const cell = (row: Record<string, Cell>, c: Column) => {
      const { mark, why } = row[c.key] ?? {};
      // An interval stands beneath its value.
      const text = escapeText(this.textOf(row, c.key)).replace(
        /^(.+?) (\[[^\]]*,[^\]]*\])$/,
        '$1<div style="font-size:85%">$2</div>',
      );
      const shown = mark === 'best' ? `<strong>${text}</strong>` : mark === 'second' ? `<u>${text}</u>` : text;
      const title = why ? ` title="${escapeText(why)}"` : '';
      // Numbers stay on a line; words may take two.
      const space = c.align === 'right' ? 'nowrap' : 'normal';
      return `<td style="text-align:${c.align ?? 'left'};white-space:${space}"${title}>${shown}</td>`;
    };
    const tables = this.pageWide().map((columns, i) => {
      const groups = groupsOf(columns);
      const groupRow = groups.some((g) => g.label)
        ? `<tr>${groups.map((g) => `<th colspan="${g.span}" style="text-align:center">${escapeText(g.label)}</th>`).join('')}</tr>`
        : '';
      const head = columns.map((c) => `<th style="text-align:${c.align ?? 'left'}">${escapeText(c.label)}</th>`).join('');
      const body = this.cells.map((row) => `<tr>${columns.map((c) => cell(row, c)).join('')}</tr>`).join('\n');
      const caption = i === 0 ? `<caption style="text-align:left">${escapeText(this.caption)}</caption>` : '';
      return `<table>${caption}
<thead>${groupRow}<tr>${head}</tr></thead>
<tbody>
${body}
</tbody></table>`;
    });
    const notes = this.footnotes.map((note) => `<div style="font-size:85%">${escapeText(note)}</div>`).join('\n');
    return `<div>${tables.join('\n')}
${notes}</div>`;
  }

  /** The columns in lists that fit a page beneath each other: whole groups, or parts of many without one, each behind the first column. */
  private pageWide(): Column[][] {
    const [first, ...rest] = this.columns;
    const lists: Column[][] = [[first]];
    let from = 0;
    for (const { label, span } of groupsOf(rest)) {
      const parts = label || span < mostUngrouped ? 1 : Math.ceil(span / mostColumns);
      const length = Math.ceil(span / parts);
      for (let at = 0; at < span; at += length) {
        const part = rest.slice(from + at, from + Math.min(span, at + length));
        const isApart = label !== '' || parts > 1;
        if (isApart && lists.at(-1)!.length > 1 && lists.at(-1)!.length + part.length > mostColumns) lists.push([first]);
        lists.at(-1)!.push(...part);
      }
      from += span;
    }
    return lists;
  }

  bundle(): MimeBundle {
    return { 'text/html': this.toHtml(), 'text/markdown': this.toMarkdown(), 'text/plain': this.toString() };
  }

  /** Columns padded to one width, one block per group of columns, as a terminal shows them. */
  override toString(): string {
    const [first, ...rest] = this.columns;
    const blocks = new Map<string, Column[]>();
    for (const c of rest) blocks.set(c.group ?? '', [...(blocks.get(c.group ?? '') ?? []), c]);
    const [bare, ...grouped] = blocks.has('')
      ? [blocks.get('')!, ...[...blocks].filter(([g]) => g).map(([, c]) => c)]
      : [[], ...blocks.values()];
    const lists =
      grouped.length === 0 ? [[first, ...bare]] : grouped.map((list, i) => [first, ...(i === 0 ? bare : []), ...list]);
    return [plainText(this.caption), ...lists.map((list) => this.block(list)), ...this.footnotes.map(plainText)].join('\n');
  }

  private block(columns: readonly Column[]): string {
    const head = columns.map((c) => plainText([c.group, c.label].filter(Boolean).join(' ')));
    const body = this.cells.map((row) =>
      columns.map((c) => plainText(this.textOf(row, c.key)) + (row[c.key]?.mark === 'best' ? ' *' : '')),
    );
    const widths = head.map((h, i) => Math.max(h.length, ...body.map((line) => line[i].length)));
    const line = (texts: string[]) =>
      texts
        .map((text, i) => (columns[i].align === 'right' ? text.padStart(widths[i]) : text.padEnd(widths[i])))
        .join('  ')
        .trimEnd();
    return [line(head), widths.map((w) => '─'.repeat(w)).join('──'), ...body.map(line), ''].join('\n');
  }
}

/** Columns of one table of a page. */
const mostColumns = 10;
/** Columns without a group from which on they are parted too: a few more than a group's, for theirs are short. */
const mostUngrouped = 13;

/** Neighbours of one group, each with how many there are. */
function groupsOf(columns: readonly Column[]): { label: string; span: number }[] {
  const groups: { label: string; span: number }[] = [];
  for (const c of columns) {
    const last = groups.at(-1);
    if (last && last.label === (c.group ?? '')) last.span++;
    else groups.push({ label: c.group ?? '', span: 1 });
  }
  return groups;
}

const marker = (i: number) => `[${String.fromCharCode(97 + (i % 26))}${i >= 26 ? Math.floor(i / 26) : ''}]`;

/** What a spreadsheet may take for a formula: an operator first, also behind blanks or quotes, and in full width; a tab or a break first. */
const formula = /^[\s'"\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;

/** Separators of other locales are quoted as well, so that none opens a cell of its own. */
function csv(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const text = value.replace(/(?![\n\t\r])\p{Cc}/gu, '\ufffd');
  const safe = formula.test(text) ? `'${text}` : text;
  return /[",;|\t\n\r']/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** Markdown may hold HTML and links: characters that start either are escaped, and a scheme cannot make a link of itself. */
const markdown = (text: string) =>
  plainText(text)
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/[\\|*_[\]!~`]/g, '\\$&')
    .replace(/:(?=\/\/)/g, '&#58;');

const latexSpecial: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '±': '$\\pm$',
  Δ: '$\\Delta$',
  '×': '$\\times$',
  '−': '$-$',
  '–': '--',
  '—': '---',
  '≥': '$\\geq$',
  '≤': '$\\leq$',
  '³': '$^3$',
  // After the \\\\ of the row before, a bracket or star would be its argument.
  '[': '{[}',
  ']': '{]}',
  '*': '{*}',
  '|': '\\textbar{}',
  '∞': '$\\infty$',
  '†': '\\textdagger{}',
  '\ufffd': '?',
};
const latex = (text: string) =>
  plainText(text)
    .replace(/[\\~^±Δ×−–—≥≤³{}$&#%_[\]*|∞†\ufffd]/g, (c) => latexSpecial[c] ?? `\\${c}`)
    .replace(/</g, '\\textless{}')
    .replace(/>/g, '\\textgreater{}');
