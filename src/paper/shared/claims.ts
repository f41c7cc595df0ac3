// What the papers published, cell by cell, each with its source. A cell we have no source for is null and stays null.
//
// `published.json` in each paper's folder holds the tables; a reader who holds the paper fills missing cells in
// `src/paper/filled-in.json` ({ "mednext": { "table2": { "MedNeXt-L k5": { "BTCV_DSC": 0 } } } }), which nothing else writes.
import type { Claim } from '../../report/claim.js';
import filledIn from '../filled-in.json' with { type: 'json' };
import kaistBrats21 from '../kaistBrats21/published.json' with { type: 'json' };
import mednext from '../mednext/published.json' with { type: 'json' };
import stuNet from '../stuNet/published.json' with { type: 'json' };
import swinUmamba from '../swinUmamba/published.json' with { type: 'json' };

/** One table of a paper. The first columns name a row; the others hold numbers, lists or null. */
export interface PublishedTable {
  id: string;
  caption: string;
  /** `complete`, `partial`, `numbers missing`, `digitised ±…`, `unattributed`. */
  status: string;
  unit: string | null;
  columns: string[];
  rows: Record<string, unknown>[];
  source: string;
  note?: string;
}

export interface PublishedPaper {
  title: string;
  arxiv: string;
  repo: string;
  commit: string;
  tables: PublishedTable[];
}

export type PaperName = 'mednext' | 'kaistBrats21' | 'stuNet' | 'swinUmamba';

export const published = { mednext, kaistBrats21, stuNet, swinUmamba } as unknown as Record<PaperName, PublishedPaper>;

/** Columns of text or structure tell rows apart; a column that ever holds a plain number (or is all null) holds results. */
export const namesRow = (table: PublishedTable, column: string) => {
  const values = table.rows.map((row) => row[column]).filter((v) => v !== null);
  return rowColumns.has(column) || (values.length > 0 && values.every((v) => typeof v !== 'number'));
};
const rowColumns = new Set(['kernel', 'depth_multiplier', 'width_multiplier']);

/** `MedNeXt-B resampling, 3`: the cells that tell a row from the others. */
export const rowName = (table: PublishedTable, row: Record<string, unknown>) =>
  table.columns
    .filter((c) => namesRow(table, c) && row[c] !== null && !Array.isArray(row[c]) && c !== 'how_read')
    .map((c) => (c === 'kernel' ? `k${row[c]}` : String(row[c])))
    .join(', ');

const filled = filledIn as Record<string, Record<string, Record<string, Record<string, number>>>>;

/** Every number of a paper's tables, missing ones included, filled-in ones marked as the reader's. */
export function claims(paper: PaperName, tableId?: string): Claim[] {
  return published[paper].tables
    .filter((table) => !tableId || table.id === tableId)
    .flatMap((table) =>
      table.rows.flatMap((row) => {
        const name = rowName(table, row);
        return table.columns
          .filter((column) => !namesRow(table, column))
          .map((column): Claim => {
            const own = filled[paper]?.[table.id]?.[name]?.[column];
            const value = row[column];
            return {
              paper: published[paper].title,
              table: table.id,
              row: name,
              column,
              value: own ?? (typeof value === 'number' ? value : null),
              unit: table.unit ?? '',
              source: own !== undefined ? 'filled in by the reader (src/paper/filled-in.json)' : table.source,
              kind: own !== undefined ? 'reader' : kindOf(table, row),
            };
          });
      }),
    );
}

function kindOf(table: PublishedTable, row: Record<string, unknown>): Claim['kind'] {
  if (`${table.status} ${row.how_read ?? ''}`.includes('digitised')) return 'digitised';
  return table.status === 'unattributed' || /second-hand|listing|wiki/.test(table.source) ? 'second-hand' : 'published';
}
