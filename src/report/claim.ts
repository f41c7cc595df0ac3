// A published number, with where it stands. A report joins scores with claims.

/** A published number with its place: paper, table, row, column. */
export interface Claim {
  paper: string;
  table: string;
  row: string;
  column: string;
  /** Null where no source for the number is at hand; it is shown as missing, never invented. */
  value: number | null;
  unit: string;
  /** What the column holds: a metric, of one class (absent: their mean), on a data set. */
  metric?: string;
  class?: string;
  dataset?: string;
  /** The value is in per cent. */
  percent?: boolean;
  source: string;
  /** `digitised`: read off a figure; `computed`: from the authors' own files, not a printed cell; `second-hand`: quoted by others; `reader`: filled in by the person reading. */
  kind?: 'published' | 'digitised' | 'second-hand' | 'computed' | 'reader';
}
