// A paper's table as it was printed: its rows and columns in order, missing cells with the reason, and underneath source, protocol and rule.
import { type Cell, ResultTable } from '../../report/index.js';
import { claims, type PaperName, type PublishedTable, published, rowName } from './claims.js';
import { methodNotes, publishedTable } from './rules.js';

/**
 * The published table `id` of a paper, to look at and to export.
 * @throws VoxelbookError naming the tables there are
 */
export function table(paper: PaperName, id: string): ResultTable {
  const found = publishedTable(paper, id);
  const values = claims(paper, id);
  const columns = found.columns.map((key) => ({
    key,
    label: key.replaceAll('_', ' '),
    align: found.cells[key] ? ('right' as const) : undefined,
  }));
  const cells = found.rows.map((row) =>
    Object.fromEntries(
      found.columns.map((key): [string, Cell] => {
        if (!found.cells[key]) {
          const text = Array.isArray(row[key]) ? row[key].join(', ') : row[key] === null ? '' : String(row[key]);
          return [key, { value: text, text }];
        }
        const claim = values.find((c) => c.row === rowName(found, row) && c.column === key)!;
        if (claim.value === null) return [key, { value: null, text: '—', why: 'no source for this number' }];
        const own = claim.kind !== 'published' && claim.kind !== 'computed' ? ` (${claim.kind})` : '';
        const disputed = found.disputed?.some((d) => d.column === key && d.row === claim.row) ? ' (disputed)' : '';
        return [key, { value: claim.value, text: `${claim.value}${own}${disputed}` }];
      }),
    ),
  );
  return new ResultTable(`${published[paper].title}: ${found.caption}`, columns, cells, [
    ...sourceNotes(found),
    ...methodNotes(paper, id),
  ]);
}

/** Where a table comes from, its unit, and who found other numbers. */
export const sourceNotes = ({ source, direct, unit, note, disputed = [] }: PublishedTable): string[] => [
  `Published: ${source}${direct === 'published' ? '' : ` (${direct})`}`,
  ...(unit ? [`Unit: ${unit}`] : []),
  ...(note ? [note] : []),
  ...disputed.map(
    ({ column, row, printed, text, source: from }) =>
      `Disputed: ${column.replaceAll('_', ' ')}${row ? ` of ${row}, ${printed} printed` : ''}: ${text} (${from}).`,
  ),
];
