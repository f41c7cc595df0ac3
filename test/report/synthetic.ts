// Made-up runs for the report tests: three variants, two folds, two seeds, three regions.
import { Random } from '../../src/base/random.js';
import type { RunScores } from '../../src/train/experiment.js';

export const variantNames = ['MedNeXt-S k3', 'MedNeXt-S k5, UpKern', 'MedNeXt-S k5, from scratch'];

/** Runs of one variant: `level` is its mean DSC. */
export function runs(name: string, level: number, { folds = 2, seeds = 2, cases = 12 } = {}): RunScores[] {
  const list: RunScores[] = [];
  for (let fold = 0; fold < folds; fold++)
    for (let seed = 0; seed < seeds; seed++) {
      const random = new Random(`${name}/${seed}`);
      list.push({
        experiment: name,
        fold,
        seed,
        nsd: { toleranceMm: 1, definition: 'area-weighted (DeepMind)' },
        cases: Array.from({ length: cases }, (_, i) => {
          const difficulty = new Random(`case ${fold} ${i}`).normal(0, 0.05);
          return {
            id: `SimGlioma_${String(fold * cases + i).padStart(3, '0')}`,
            classes: Object.fromEntries(
              ['WT', 'TC', 'ET'].map((c, k) => {
                const dsc = Math.min(0.99, Math.max(0, level - k * 0.05 + difficulty + random.normal(0, 0.02)));
                const missed = c === 'ET' && i === 3;
                return [
                  c,
                  missed
                    ? { state: 'missed' as const, dsc: 0, nsd: 0, hd95: Number.POSITIVE_INFINITY, worstDistanceMm: 300 }
                    : { state: 'ok' as const, dsc, nsd: Math.min(1, dsc + 0.08), hd95: 20 * (1 - dsc), worstDistanceMm: 300 },
                ];
              }),
            ),
          };
        }),
        cost: {
          parameters: 5_600_000 + level * 1e6,
          flops: 1.3e11 * level,
          trainSeconds: 200 * (1 + level),
          predictSeconds: 20,
          peakBytes: 2.1e9,
          forecastBytes: 2e9,
        },
      });
    }
  return list;
}

export const variants = () => [
  {
    name: variantNames[0],
    scores: runs(variantNames[0], 0.82),
    published: [
      {
        paper: 'MedNeXt',
        table: 'Table 2',
        row: 'MedNeXt-S',
        column: 'BTCV_DSC',
        value: 83.5,
        unit: 'percent',
        metric: 'dsc',
        percent: true,
        source: 'the paper',
      },
    ],
  },
  { name: variantNames[1], scores: runs(variantNames[1], 0.86) },
  { name: variantNames[2], scores: [], missing: 'not run at this scale' },
];
