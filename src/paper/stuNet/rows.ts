// This run's rows as STU-Net's tables and figures want them.
import { classNames, mean, perCase } from '../../report/aggregate.js';
import type { DataShareCurve, Variant } from '../../report/index.js';
import { sizes } from './experiments.js';

/** Mean DSC over cases and classes in per cent, one decimal; undefined without scores. */
export function percentDsc(row: Variant | undefined): string | undefined {
  const values = row ? [...perCase(row.scores, classNames([row]), 'dsc', 'metrics-reloaded').values()] : [];
  return values.length > 0 ? (100 * mean(values)).toFixed(1) : undefined;
}

/** One curve a size from rows named `STU-Net-S, 10 %`. */
export function shareCurves(rows: readonly Variant[]): DataShareCurve[] {
  return sizes.map((size) => ({
    name: `STU-Net-${size}`,
    points: rows.flatMap((row) => {
      const [, name, percent] = row.name.match(/^(\S+), (\d+) %$/) ?? [];
      return name === `STU-Net-${size}` ? [{ share: Number(percent) / 100, scores: row.scores }] : [];
    }),
  }));
}

/** The column of one share, by the names of the figure's rows. */
export function shareColumn(rows: readonly Variant[], percent: number): Record<string, string> {
  return Object.fromEntries(
    sizes.flatMap((size) => {
      const value = percentDsc(rows.find((row) => row.name === `STU-Net-${size}, ${percent} %`));
      return value === undefined ? [] : [[`STU-Net-${size}`, value]];
    }),
  );
}

/** Mean training seconds of each row. */
export function trainSeconds(rows: readonly Variant[]): Record<string, string> {
  return Object.fromEntries(
    rows
      .filter((row) => row.scores.length > 0)
      .map((row) => [row.name, mean(row.scores.map((s) => s.cost.trainSeconds)).toFixed(1)]),
  );
}
