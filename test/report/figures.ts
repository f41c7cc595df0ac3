// Every figure of the room on made-up runs; any name can be replaced by a hostile one.
import { Random } from '../../src/base/random.js';
import * as report from '../../src/report/index.js';
import { calibration } from '../../src/score/calibration.js';
import { runs, variantNames } from './synthetic.js';

/** Figures by name; `dress` changes every name from outside (models, cases, classes). */
export function allFigures(dress: (name: string) => string = (name) => name): Record<string, report.Figure> {
  const rows = [0.82, 0.86, 0.84].map((level, i) => ({
    name: dress(variantNames[i]),
    scores: runs(variantNames[i], level).map((run) => ({
      ...run,
      cases: run.cases.map((c) => ({
        id: dress(c.id),
        classes: Object.fromEntries(
          Object.entries(c.classes).map(([name, score], k) => {
            const size = (new Random(`size ${c.id} ${k}`).uniform(4, 60) * 1000) / (k + 1);
            const error = (new Random(`${variantNames[i]} ${c.id} ${k}`).normal(0.02, 0.08) + 1) * size;
            return [dress(name), { ...score, volumeReferenceMm3: size, volumePredictionMm3: error }];
          }),
        ),
      })),
    })),
  }));
  const tolerancesMm = Array.from({ length: 21 }, (_, i) => i / 2);
  const random = new Random('calibration');
  const voxels = Array.from({ length: 4000 }, () => random.uniform());
  const reliability = (bend: number) =>
    calibration(
      voxels,
      voxels.map((p) => (random.chance(p ** bend) ? 1 : 0)),
    );
  const progress = (level: number) =>
    Array.from({ length: 60 }, (_, epoch) => ({
      epoch,
      trainLoss: Math.exp(-epoch / 15) - level,
      validationLoss: Math.exp(-epoch / 18) - level + 0.08,
      pseudoDice: level * (1 - Math.exp(-epoch / 12)),
    }));
  return {
    perClass: report.perClass(rows, { title: dress('Scores per class') }),
    pairedDifference: report.pairedDifference(rows),
    blandAltman: report.blandAltman(rows.slice(0, 2)),
    calibration: report.calibration([
      { name: rows[0].name, calibration: reliability(1) },
      { name: rows[1].name, calibration: reliability(1.5) },
    ]),
    ranking: report.ranking(rows),
    nsdTolerance: report.nsdTolerance(
      rows.map((row, i) => ({
        name: row.name,
        tolerancesMm,
        nsd: tolerancesMm.map((t) => 1 - Math.exp(-t / (2 - 0.4 * i) - 0.3)),
      })),
    ),
    learningCurve: report.learningCurve([
      { name: rows[0].name, progress: progress(0.8) },
      { name: rows[1].name, progress: progress(0.9) },
    ]),
    scaling: report.scaling(rows),
    panels: report.panels(
      dress('Labels of one slice'),
      Object.fromEntries(
        rows.map((row, i) => [
          row.name,
          Array.from({ length: 20 }, (_, y) => Array.from({ length: 30 }, (_, x) => (x * y * (i + 1)) % 4)),
        ]),
      ),
    ),
    dataShare: report.dataShare(
      rows.map((row, i) => ({
        name: row.name,
        points: [0.1, 0.25, 0.5, 1].map((share) => ({
          share,
          scores: runs(`${row.name}${share}`, 0.7 + 0.1 * Math.sqrt(share) + 0.02 * i),
        })),
      })),
    ),
  };
}
