// Studies on Slurm: we write job arrays and their scripts, Slurm does the distributing.
import type { PlannedRun, Study, StudyOptions } from './study.js';

export interface SlurmOptions {
  partition?: string;
}

export async function slurmStudy(_runs: readonly PlannedRun[], _options: StudyOptions): Promise<Study['failures']> {
  throw new Error('not yet');
}
