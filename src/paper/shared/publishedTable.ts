// A paper's table as it was printed: its rows and columns in order, missing cells with the reason, the source underneath.
import { VoxelbookError } from '../../base/errors.js';
import { type Cell, ResultTable } from '../../report/index.js';
import { claims, namesRow, type PaperName, published, rowName } from './claims.js';

/**
 * The published table `id` of a paper, to look at and to export.
 * @throws VoxelbookError naming the tables there are
 */
export function table(paper: PaperName, id: string): ResultTable {
  const found = published[paper]?.tables.find((t) => t.id === id);
  if (!found)
    throw new VoxelbookError('no such published table', {
      code: 'table',
      path: `${paper}/${id}`,
      given: JSON.stringify(id),
      expected: (published[paper]?.tables ?? []).map((t) => t.id).join(', '),
      fix: 'Choose one of these.',
    });
  const values = claims(paper, id);
  const columns = found.columns.map((key) => ({
    key,
    label: key.replaceAll('_', ' '),
    align: namesRow(found, key) ? undefined : ('right' as const),
  }));
  const cells = found.rows.map((row) =>
    Object.fromEntries(
      found.columns.map((key): [string, Cell] => {
        if (namesRow(found, key)) {
          const text = Array.isArray(row[key]) ? row[key].join(', ') : row[key] === null ? '' : String(row[key]);
          return [key, { value: text, text }];
        }
        const claim = values.find((c) => c.row === rowName(found, row) && c.column === key)!;
        if (claim.value === null) return [key, { value: null, text: '—', why: 'no source for this number' }];
        const mark = claim.kind === 'published' ? '' : ` (${claim.kind})`;
        return [key, { value: claim.value, text: `${claim.value}${mark}` }];
      }),
    ),
  );
  const notes = [
    `Published: ${found.source}`,
    ...(found.unit ? [`Unit: ${found.unit}`] : []),
    ...(found.note ? [found.note] : []),
  ];
  return new ResultTable(`${published[paper].title}: ${found.caption}`, columns, cells, notes);
}
