// A desk study, run or gone on with, and held against its recording.
import { type Decision, type DeskStudy, decide } from '../paper/index.js';
import { classNames, countingOf, deviation, overall } from '../report/aggregate.js';
import { canonicalJson, type RunScores } from '../train/index.js';
import { baseline } from './baseline.js';
import type { DeskResult, Recorded } from './recording.js';
import { reproduce } from './reproduce.js';
import type { StudyOptions } from './study.js';

/**
 * Runs every experiment of a desk study, scores the intensity table beside it and decides its claims. Every run has one thread unless
 * told otherwise, so that it comes to the same bits however many go on at once.
 * @throws the first failure of a run: a study with a hole decides nothing
 */
export async function deskStudy(study: DeskStudy, options: StudyOptions = {}): Promise<DeskResult> {
  const { runs, rows, failures } = await reproduce(study.experiments, { threads: 1, ...options });
  if (failures.length > 0) throw failures[0].error;
  const floor = await baseline(study.experiments[0]);
  return { study, runs, rows, floor, decisions: decide(study.plan, rows, floor) };
}

/** A new run beside the recorded one. */
export interface DeskComparison {
  claims: { says: string; recorded: Decision['verdict']; now: Decision['verdict'] }[];
  /** Mean over all runs of a system, and the recorded standard deviation over its seeds. */
  systems: { name: string; recorded: number; now: number; spread: number; within: boolean }[];
  /** Runs whose every score is the recorded one, of those that both have. */
  identical: number;
  runs: number;
  /** Same verdicts, and every system's mean within the recorded spread. */
  same: boolean;
}

/** Holds a finished study against its recording. */
export function compareDesk({ study, rows, decisions }: DeskResult, recording: Recorded): DeskComparison {
  const classes = classNames(rows);
  const counting = countingOf(rows);
  const score = (runs: readonly RunScores[]) => overall(runs, classes, study.plan.metric, counting);
  const claims = decisions.map(({ claim: { says }, verdict }) => ({
    says,
    recorded: recording.decisions.find((d) => d.claim.says === says)?.verdict ?? 'not decided',
    now: verdict,
  }));
  const systems = rows.map(({ name, scores }) => {
    const before = recording.rows.find((row) => row.name === name)?.scores ?? [];
    const seeds = [...new Set(before.map((run) => run.seed))];
    const spread = deviation(seeds.map((seed) => score(before.filter((run) => run.seed === seed))));
    const [then, now] = [score(before), score(scores)];
    return { name, recorded: then, now, spread, within: then === now || Math.abs(now - then) <= spread };
  });
  const keyOf = ({ experiment, fold, seed }: RunScores) => `${experiment}/${fold}/${seed}`;
  const before = new Map(recording.recording.runs.map((run) => [keyOf(run), run]));
  const pairs = rows
    .flatMap((row) => row.scores)
    .flatMap((run) => (before.has(keyOf(run)) ? [[run, before.get(keyOf(run))!]] : []));
  const identical = pairs.filter(([now, then]) => canonicalJson(now.cases) === canonicalJson(then.cases)).length;
  return {
    claims,
    systems,
    identical,
    runs: pairs.length,
    same: claims.every((c) => c.recorded === c.now) && systems.every((s) => s.within),
  };
}

/** The comparison as lines for a terminal. */
export function comparisonText({ claims, systems, identical, runs, same }: DeskComparison): string {
  return [
    `Against the recording: ${same ? 'the same verdicts, every mean within the recorded spread' : 'NOT the same'}; ${identical} of ${runs} runs identical.`,
    ...claims.map(
      (c) =>
        `  ${c.recorded === c.now ? 'same' : 'OTHER'}  ${c.says}: ${c.now}${c.recorded === c.now ? '' : `, recorded: ${c.recorded}`}`,
    ),
    ...systems.map(
      (s) =>
        `  ${s.within ? 'same' : 'OTHER'}  ${s.name}: ${s.now.toFixed(4)}, recorded ${s.recorded.toFixed(4)} (spread over seeds ${s.spread.toFixed(4)})`,
    ),
  ].join('\n');
}
