// nnunet/plans: every plan of every planner, number for number.
import fs from 'node:fs';
import path from 'node:path';
import { toDatasetJson } from '../../../src/dataset/datasetJson.js';
import { type PlannerName, plan } from '../../../src/plan/index.js';
import { entriesOf, equal, type GoldenCase, type Row, readJson, unknownCase } from '../case.js';

export const owns = ['plans'];

interface Entry {
  case: string;
  runs: {
    file: string;
    planner: PlannerName;
    kwargs?: {
      gpu_memory_target_in_gb?: number;
      overwrite_target_spacing?: number[];
      suppress_transpose?: boolean;
      plans_name?: string;
    };
  }[];
}

export function cases(root: string): GoldenCase[] {
  const folder = path.join(root, 'nnunet/plans');
  const index = path.join(folder, 'index.json');
  if (!fs.existsSync(index)) return fs.existsSync(folder) ? [unknownCase('nnunet/plans', 'no index.json')] : [];
  const entries = readJson<Entry[]>(index);
  const listed = new Set(entries.map((e) => e.case));
  const strangers = entriesOf(folder).filter((name) => name !== 'index.json' && !listed.has(name));
  return [
    ...entries.map((entry) => ({ name: `nnunet/plans/${entry.case}`, run: () => check(path.join(folder, entry.case), entry) })),
    ...strangers.map((name) => unknownCase(`nnunet/plans/${name}`, 'not in index.json')),
  ];
}

function check(folder: string, entry: Entry): Row[] {
  const json = toDatasetJson(readJson(path.join(folder, 'dataset.json')));
  const fingerprint = readJson(path.join(folder, 'dataset_fingerprint.json'));
  return entry.runs.map(({ file, planner, kwargs = {} }) => {
    const ours = plan({ name: entry.case, json }, fingerprint, {
      planner,
      gpuMemoryGb: kwargs.gpu_memory_target_in_gb,
      targetSpacing: kwargs.overwrite_target_spacing ?? undefined,
      suppressTranspose: kwargs.suppress_transpose,
      plansName: kwargs.plans_name,
    });
    return equal(file, ours, readJson(path.join(folder, file)));
  });
}
