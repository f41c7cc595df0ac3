// The nnunet family: each part claims folders or files below nnunet/ and checks them; what no part claims is reported as unknown.
import fs from 'node:fs';
import path from 'node:path';
import { entriesOf, type Family, type GoldenCase, unknownCase } from './case.js';
import * as augmentation from './nnunet/augmentation.js';
import * as evaluation from './nnunet/evaluation.js';
import * as ops from './nnunet/ops.js';
import * as plans from './nnunet/plans.js';
import * as prediction from './nnunet/prediction.js';
import * as preprocessing from './nnunet/preprocessing.js';
import * as training from './nnunet/training.js';

/** What a part exports. */
export interface Part {
  /** Paths below `nnunet/` without ending that this part checks: `plans`, `ops/topology`, `training/losses`. A folder covers all below. */
  owns: readonly string[];
  /** Its golden cases. `root` is the reference folder (the one that holds `nnunet/`); names start with `nnunet/`. */
  cases(root: string): GoldenCase[];
}

const parts: Part[] = [plans, preprocessing, ops, training, prediction, evaluation, augmentation];

export const family: Family = {
  folder: 'nnunet',
  cases: (root) => [...parts.flatMap((part) => part.cases(root)), ...unclaimed(root)],
};

/** Every folder, or file directly in a split folder, that no part owns. */
function unclaimed(root: string): GoldenCase[] {
  const owned = new Set(parts.flatMap((part) => part.owns));
  const split = new Set([...owned].filter((name) => name.includes('/')).map((name) => name.split('/')[0]));
  const found = new Set<string>();
  const base = path.join(root, 'nnunet');
  for (const entry of fs.readdirSync(base, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    if (!split.has(entry.name)) found.add(entry.name);
    else for (const below of entriesOf(path.join(base, entry.name))) found.add(`${entry.name}/${below.replace(/\..*$/, '')}`);
  }
  return [...found].filter((name) => !owned.has(name)).map((name) => unknownCase(`nnunet/${name}`, 'no check claims it'));
}
