// `voxelbook reproduce <paper> --scale desk`: run or go on with a desk study, decide its claims, and record it or hold it against its recording.
import { VoxelbookError } from '../../base/errors.js';
import type { DeskStudy } from '../../paper/index.js';
import { classNames, countingOf, overall } from '../../report/aggregate.js';
import type { StudyOptions } from '../study.js';
import { print } from './command.js';

export interface DeskOptions extends Pick<StudyOptions, 'atOnce' | 'target' | 'slurm' | 'signal'> {
  /** Write the recording instead of comparing with it. */
  record?: boolean;
  /** Where the recording lies. */
  folder?: string;
}

/** @throws VoxelbookError when a recording is there and the study does not come to the same */
export async function reproduceDesk(study: DeskStudy, { record: write, folder, ...options }: DeskOptions): Promise<void> {
  const { comparisonText, compareDesk, deskStudy } = await import('../deskStudy.js');
  const { record, recorded, recordedNames } = await import('../recording.js');
  const { decisionTable, planTable } = await import('../../paper/index.js');
  const result = await deskStudy(study, { ...options, display: null, onEvent: print });
  const cases = new Set(result.rows.flatMap((row) => row.scores.flatMap((run) => run.cases.map((c) => c.id)))).size;
  print(`${planTable(study.plan, cases)}\n\n${decisionTable(study.plan, result.decisions)}`);
  if (write) {
    const trial = await trialScores(study, options);
    print(`\n${await record(result, { folder, trial })}`);
    return;
  }
  if (recordedNames({ folder, among: [study.study] }).length === 0) {
    print('There is no recording to compare with; --record makes one.');
    return;
  }
  const recording = recorded(study, { folder });
  for (const change of recording.outdated) print(`The recording is outdated: ${change}.`);
  const comparison = compareDesk(result, recording);
  print(`\n${comparisonText(comparison)}`);
  if (!comparison.same)
    throw new VoxelbookError('this run does not come to what was recorded', {
      code: 'desk-differs',
      path: study.study,
      given: 'other verdicts, or means beyond the recorded spread over seeds (the lines above with OTHER)',
      expected: `the recording of ${recording.recording.recordedOn}`,
      fix: 'Find what changed; where the change is meant, --record writes a new recording.',
    });
}

/** Runs the trial that chose the rates, or finds it run, and prints it. */
async function trialScores({ trial = [], plan }: DeskStudy, options: StudyOptions) {
  const { reproduce } = await import('../reproduce.js');
  const { rows, failures } = await reproduce(trial, { threads: 1, ...options, display: null, onEvent: print });
  if (failures.length > 0) throw failures[0].error;
  const [classes, counting] = [classNames(rows), countingOf(rows)];
  for (const { name, scores } of rows) print(`${name}: ${overall(scores, classes, plan.metric, counting).toFixed(4)}`);
  return rows.flatMap(({ name, scores }) => scores.map((run) => ({ ...run, experiment: name })));
}
