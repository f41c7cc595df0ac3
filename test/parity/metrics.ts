// metrics/*.json: every value a peer returned, against ours under the definition of that peer.
import fs from 'node:fs';
import path from 'node:path';
import { type Family, type GoldenCase, unknownCase } from './case.js';
import { componentsCases } from './metrics/components.js';
import { distanceCases, surfelCases } from './metrics/distance.js';
import { instancesCases } from './metrics/instances.js';
import { lesionwiseCases } from './metrics/lesionwise.js';
import { multiclassCases } from './metrics/multiclass.js';
import { papersCases } from './metrics/papers.js';
import { segmentationCases } from './metrics/segmentation.js';
import { statisticsCases } from './metrics/statistics.js';
import { timingCases } from './metrics/timing.js';

/** One list of cases per file of the folder. */
const files: Record<string, (content: any, name: string, folder: string) => GoldenCase[]> = {
  segmentation: segmentationCases,
  multiclass: multiclassCases,
  papers: papersCases,
  lesionwise: lesionwiseCases,
  instances: instancesCases,
  components: componentsCases,
  distance: distanceCases,
  surfels: surfelCases,
  statistics: statisticsCases,
  'peers-timing': timingCases,
};

export const metrics: Family = {
  folder: 'metrics',
  cases(root) {
    const folder = path.join(root, 'metrics');
    return fs
      .readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort()
      .flatMap((name) => {
        const key = name.slice(0, -'.json'.length);
        const list = files[key];
        return list
          ? list(read(path.join(folder, name)), `metrics/${key}`, folder)
          : [unknownCase(`metrics/${key}`, 'no check for this file')];
      });
  },
};

/** These files are strict JSON: what is not a number is a string. */
const read = (file: string) =>
  JSON.parse(fs.readFileSync(file, 'utf8'), (_key, value) =>
    value === 'NaN'
      ? Number.NaN
      : value === 'Infinity'
        ? Number.POSITIVE_INFINITY
        : value === '-Infinity'
          ? Number.NEGATIVE_INFINITY
          : value,
  );
