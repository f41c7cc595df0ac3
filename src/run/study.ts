// Many experiments: every fold and seed of each, in an order in which whatever a run starts from is finished first.
import { VoxelbookError } from '../base/errors.js';
import { duration } from '../base/text.js';
import { threads } from '../base/threads.js';
import { services } from '../report/kernel.js';
import { runFolderOf } from '../train/identity.js';
import { type Experiment, foldsOf, type ProgressLine } from '../train/index.js';
import { completeAll, type ShortExperiment } from './complete.js';
import { needsOf } from './dryRun.js';
import { type FailedRun, type PlannedRun, prepareFolder, readScores } from './folder.js';
import { settled } from './fresh.js';
import { graph } from './graph.js';
import type { Display } from './live.js';
import { asAsked, type FinishedRun, finishedRun } from './result.js';
import { type SlurmOptions, slurmStudy } from './slurm.js';
import { shortName, start } from './start.js';
import { StudyView } from './studyView.js';

/** Where the runs of a study are computed, how many at once, and who is told. */
export interface StudyOptions {
  /** Runs computed at the same time; 1 by default. Each gets its share of the threads. */
  atOnce?: number;
  /** Threads of each run; default its share when several run at once, else all. */
  threads?: number;
  target?: 'local' | 'slurm';
  slurm?: SlurmOptions;
  signal?: AbortSignal;
  /** Where the signal stops a study on Slurm: end its jobs too. Without it they go on, and the same study waits for them again. */
  cancelJobs?: boolean;
  /** A line for every run that starts, ends or fails. */
  onEvent?: (text: string) => void;
  /** Called with every new line of any run's log. */
  onLine?: (line: ProgressLine, run: PlannedRun) => void;
  onProgress?: (done: number, total: number, what: string) => void;
  /** Shows a table of the runs as they go; the kernel of this project gives its own. */
  display?: Display | null;
}

/** What a study gives back: one finished run per experiment, fold and seed, in the order asked for. */
export interface Study {
  runs: FinishedRun[];
  /** Runs that ended without a result; a study goes on with the others. */
  failures: FailedRun[];
}

/**
 * Runs a list of experiments: finished runs are skipped, half-finished ones go on, a run waits for those it starts from.
 * @throws the signal's reason after an abort; failures of single runs are returned, not thrown
 */
export async function study(short: readonly (ShortExperiment | Experiment)[], given: StudyOptions = {}): Promise<Study> {
  const { atOnce = 1 } = given;
  if (!(Number.isInteger(atOnce) && atOnce >= 1))
    throw new VoxelbookError('this study cannot be run', {
      code: 'at-once',
      path: 'atOnce',
      given: String(atOnce),
      expected: 'a whole number of at least 1',
      fix: 'Give the number of runs to compute at the same time.',
    });
  const experiments = await completeAll(short);
  const options = { ...given, signal: given.signal ?? services()?.signal };
  const runs = graph(experiments);
  for (const run of runs) {
    prepareFolder(run);
    if (run.finished) run.finished = await settled(run, run.folder, { signal: options.signal, say: options.onEvent });
  }
  const failures =
    options.target === 'slurm'
      ? await slurmStudy(runs, options, await needsOf(runs, { signal: options.signal }))
      : await localStudy(runs, options);
  // Two experiments may name the same run (a k3 that is a row and what k5 starts from): each gets it under its own name.
  const asked = experiments.flatMap((experiment) =>
    foldsOf(experiment).flatMap((fold) => experiment.seeds.map((seed) => ({ experiment, fold, seed }))),
  );
  const found: FinishedRun[] = [];
  for (const { experiment, fold, seed } of asked) {
    const folder = runFolderOf(experiment, fold, seed);
    if (readScores(folder)) found.push(await asAsked(finishedRun(folder), experiment));
  }
  return { runs: found, failures };
}

async function localStudy(runs: readonly PlannedRun[], options: StudyOptions): Promise<Study['failures']> {
  const { atOnce = 1, signal, onEvent, onProgress } = options;
  const ownThreads = Math.max(1, Math.floor(threads() / atOnce));
  const ended = new Map<string, 'finished' | 'failed'>();
  for (const run of runs) if (run.finished) ended.set(run.hash, 'finished');
  const waiting = new Set(runs.filter((run) => !run.finished));
  const working = new Map<string, Promise<void>>();
  const failures: Study['failures'] = [];
  const [begin, before] = [performance.now(), ended.size];
  /** `3 of 12 runs, 4 min 10 s left`, by the runs of this call. */
  const share = () => {
    const seconds = ((performance.now() - begin) / 1000 / Math.max(1, ended.size - before)) * (runs.length - ended.size);
    return `${ended.size} of ${runs.length} runs${ended.size < runs.length ? `, ${duration(seconds)} left` : ''}`;
  };
  const view = new StudyView(runs, options.display);
  const report = (what: string) => onProgress?.(ended.size, runs.length, what);
  report('start');

  const launch = (run: PlannedRun) => {
    const name = shortName(run.experiment, run.fold, run.seed);
    onEvent?.(`${name}: starts`);
    view.stage(run, 'runs');
    const work = start(run.experiment, {
      fold: run.fold,
      seed: run.seed,
      signal,
      display: null,
      onProgress(line) {
        view.line(run, line);
        options.onLine?.(line, run);
      },
      threads: options.threads ?? (atOnce > 1 ? ownThreads : undefined),
    }).then(
      () => {
        ended.set(run.hash, 'finished');
        view.stage(run, 'finished');
        onEvent?.(`${name}: finished; ${share()}`);
      },
      (error: Error) => {
        ended.set(run.hash, 'failed');
        failures.push({ run, error });
        view.stage(run, 'failed', error.message.split('\n')[0]);
        onEvent?.(`${name}: ${error.message.split('\n')[0]}`);
      },
    );
    working.set(
      run.hash,
      work.finally(() => {
        working.delete(run.hash);
        report(name);
      }),
    );
  };

  while (waiting.size > 0 || working.size > 0) {
    if (signal?.aborted) {
      await Promise.all(working.values());
      throw signal.reason;
    }
    for (const run of waiting) {
      if (run.needs.some((hash) => ended.get(hash) === 'failed')) {
        waiting.delete(run);
        ended.set(run.hash, 'failed');
        view.stage(run, 'failed', 'what it starts from failed');
        failures.push({ run, error: new Error(`${shortName(run.experiment, run.fold, run.seed)}: what it starts from failed`) });
      } else if (working.size < atOnce && run.needs.every((hash) => ended.get(hash) === 'finished')) {
        waiting.delete(run);
        launch(run);
      }
    }
    if (working.size > 0) await Promise.race(working.values());
  }
  return failures;
}
