// A published number, with where it stands. A report joins scores with claims.

export interface Claim {
  paper: string;
  table: string;
  row: string;
  column: string;
  /** Null where no source for the number is at hand; it is shown as missing, never invented. */
  value: number | null;
  unit: string;
  source: string;
  /** `digitised`: read off a figure; `second-hand`: quoted by others; `reader`: filled in by the person reading. */
  kind?: 'published' | 'digitised' | 'second-hand' | 'reader';
}
