// Planners by name: what one is, and what an experiment says to choose it.
import type { z } from 'zod';
import { sha256 } from '../base/checksum.js';
import { canonicalJson } from '../base/json.js';
import { lookup, openKind } from '../base/registry.js';
import type { Dataset } from '../dataset/dataset.js';
import type { Overrides } from './override.js';
import type { Fingerprint, Plan } from './plan.js';
import type { PlannerName } from './planners.js';

/** A planner by its name, with settings where it has any; nnU-Net's have none. */
export type Planner = PlannerName | (string & {}) | { kind: string; [setting: string]: unknown };

/** Which planner plans, and what it may be told. */
export interface PlanOptions {
  /** Default `ExperimentPlanner`. */
  planner?: Planner;
  /** GPU memory to plan for, GB; default the planner's own. */
  gpuMemoryGb?: number;
  /** Target spacing of the full resolution, mm, in the order of the file's axes. */
  targetSpacing?: number[];
  /** Keep the order of axes. */
  suppressTranspose?: boolean;
  /** Patch of a configuration, voxels, instead of what fits; its batch size is what fits with this patch. */
  patchSizes?: Record<string, number[]>;
  /** Name of the plan; default the planner's. */
  plansName?: string;
  /** Changes by configuration, applied with `override` at the end: `{ '3d_fullres': { patchSize: [32, 32, 32] } }`. */
  overrides?: Record<string, Overrides>;
  /** An existing plan whose configurations of other names are kept. */
  existing?: Plan;
}

/** What is planned: an opened data set, or its name with `dataset.json`. */
export type Planable = Pick<Dataset, 'name' | 'json'> & Partial<Pick<Dataset, 'cases'>>;

/** A planner by the name that `planner` of an experiment gives it. */
export interface PlannerDefinition {
  name: string;
  settings: z.ZodObject;
  /** `plans_name` of its plans: their file, and the beginning of the folders of preprocessed cases. */
  plansName: string;
  /** @param options with `plansName`; `overrides` and `existing` are none of its business */
  plan(dataset: Planable, fingerprint: Fingerprint, options: PlanOptions & { plansName: string }, settings: any): Plan;
}

declare module '../base/registry.js' {
  interface Kinds {
    planners: PlannerDefinition;
  }
}

openKind('planners', 'plan', ({ plansName }, faults, path) => {
  if (typeof plansName !== 'string' || !/^\w[\w.+-]*$/.test(plansName))
    faults.add(
      'extension',
      `${path}.plansName`,
      String(plansName),
      'a name of letters, digits, ., +, - and _',
      'Name its plans.',
    );
});

/** A planner as its name and settings. */
export function plannerEntry(planner: Planner = 'ExperimentPlanner'): { kind: string; settings: Record<string, unknown> } {
  if (typeof planner === 'string') return { kind: planner, settings: {} };
  const { kind, ...settings } = planner;
  return { kind, settings };
}

/** `plans_name` of a planner's plans; other settings make other plans, which have a name of their own. */
export function plansNameBy(planner?: Planner): string {
  const { kind, settings } = plannerEntry(planner);
  const { plansName } = lookup('planners', kind, 'planner');
  if (Object.keys(settings).length === 0) return plansName;
  return `${plansName}_${sha256(canonicalJson(settings)).slice(0, 8)}`;
}
