// What the papers published, cell by cell, each with its source. A cell we have no source for is null and stays null.
//
// `published.json` in each paper's folder holds the tables with what their columns mean, on which cases they were scored (protocol) and how
// (rule). A reader who holds the paper fills missing cells in `src/paper/filled-in.json`
// ({ "mednext": { "table2": { "MedNeXt-L k5": { "BTCV_DSC": 0 } } } }), which nothing else writes.
import type { Claim } from '../../report/claim.js';
import type { SpreadOver } from '../../report/index.js';
import type { Rule } from '../../score/index.js';
import filledIn from '../filled-in.json' with { type: 'json' };
import kaistBrats21 from '../kaistBrats21/published.json' with { type: 'json' };
import mednext from '../mednext/published.json' with { type: 'json' };
import stuNet from '../stuNet/published.json' with { type: 'json' };
import swinUmamba from '../swinUmamba/published.json' with { type: 'json' };
import type { Protocol } from './protocol.js';

/** What a column of results holds: a score of something, or a cost. */
export interface CellMeaning {
  metric?: string;
  /** Absent: the mean over the table's classes. */
  class?: string;
  /** A group of classes. */
  group?: string;
  dataset?: string;
  /** Share of the training cases. */
  share?: number;
  /** The system, where systems are columns. */
  variant?: string;
  cost?: string;
}

/** Somebody measured another value than the printed one. */
export interface Dispute {
  column: string;
  /** Null: of the column as a whole. */
  row: string | null;
  printed?: number;
  found?: number;
  text: string;
  source: string;
}

/** How near a number is to its paper. */
export type Directness = 'published' | 'digitised' | 'second-hand' | 'computed';

/** One table of a paper. */
export interface PublishedTable {
  id: string;
  caption: string;
  /** `complete`, `partial`, `numbers missing`, `digitised ±…`, `unattributed`. */
  status: string;
  /** Of all cells; a row's own `direct` says otherwise for it. */
  direct: Directness;
  /** Name of its protocol among the paper's. */
  protocol: string;
  /** Name of its rule among the paper's or the shared ones; null where `ruleNote` says why there is none. */
  rule: string | null;
  ruleNote?: string;
  /** What its ± is taken over; null where it prints none. */
  spread: SpreadOver | null;
  spreadSource?: string;
  unit: string | null;
  /** Scores stand in per cent. */
  percent: boolean;
  columns: string[];
  /** Columns that name a row, in the order of the name. */
  names: string[];
  /** Columns of text that name nothing. */
  text?: string[];
  /** In front of a cell in a row's name: `k` for a kernel. */
  prefix?: Record<string, string>;
  /** What each column of results holds. */
  cells: Record<string, CellMeaning>;
  rows: Record<string, unknown>[];
  source: string;
  note?: string;
  disputed?: Dispute[];
}

/** A paper: its protocols, rules of scoring and tables, each number with its source. */
export interface PublishedPaper {
  title: string;
  arxiv: string;
  repo: string;
  commit: string;
  protocols: Record<string, Protocol>;
  rules: Record<string, Rule>;
  tables: PublishedTable[];
}

/** The papers whose tables are here. */
export type PaperName = 'mednext' | 'kaistBrats21' | 'stuNet' | 'swinUmamba';

/** What each paper published, by its name. */
export const published = { mednext, kaistBrats21, stuNet, swinUmamba } as unknown as Record<PaperName, PublishedPaper>;

/** `MedNeXt-B resampling, k3`: the cells that tell a row from the others. */
export const rowName = ({ names, prefix = {} }: PublishedTable, row: Record<string, unknown>) =>
  names
    .filter((c) => row[c] !== null)
    .map((c) => `${prefix[c] ?? ''}${row[c]}`)
    .join(', ');

const filled = filledIn as Record<string, Record<string, Record<string, Record<string, number>>>>;

/** Every number of a paper's tables, missing ones included, filled-in ones marked as the reader's. */
export function claims(paper: PaperName, tableId?: string): Claim[] {
  return published[paper].tables
    .filter((table) => !tableId || table.id === tableId)
    .flatMap((table) =>
      table.rows.flatMap((row) => {
        const name = rowName(table, row);
        return Object.entries(table.cells).map(([column, { metric, class: className, dataset }]): Claim => {
          const own = filled[paper]?.[table.id]?.[name]?.[column];
          const value = row[column];
          return {
            paper: published[paper].title,
            table: table.id,
            row: name,
            column,
            value: own ?? (typeof value === 'number' ? value : null),
            unit: table.unit ?? '',
            metric,
            class: className,
            dataset,
            percent: table.percent,
            source: own !== undefined ? 'filled in by the reader (src/paper/filled-in.json)' : table.source,
            kind: own !== undefined ? 'reader' : ((row.direct as Directness | undefined) ?? table.direct),
          };
        });
      }),
    );
}
