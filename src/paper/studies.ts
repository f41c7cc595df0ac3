// A paper's whole study: every published table, its experiments, and which published row each of them is, or why there is none.
//
// Names are those of the command line: `npx voxelbook reproduce mednext --scale paper --dry-run`. What the tables are stands in each paper's
// own `study.ts`.
import { VoxelbookError } from '../base/errors.js';
import type { Experiment, Scale } from '../train/experiment.js';
import { tables as kaistTables } from './kaistBrats21/study.js';
import { tables as mednextTables } from './mednext/study.js';
import { type PaperName, published } from './shared/claims.js';
import type { DemoBudget } from './shared/demoExperiment.js';
import type { StudyBudget, StudyTable } from './shared/study.js';
import { tables as stuNetTables } from './stuNet/study.js';
import { tables as swinUmambaTables } from './swinUmamba/study.js';

/** Everything of a paper that can be run, table by table. */
export interface PaperStudy {
  paper: PaperName;
  title: string;
  scale: Scale;
  tables: StudyTable[];
  /** Experiments of all tables, in order; an experiment of two tables is in it twice, and one run. */
  experiments: Experiment[];
}

const studies = {
  mednext: { paper: 'mednext', tables: mednextTables },
  'kaist-brats21': { paper: 'kaistBrats21', tables: kaistTables },
  'stu-net': { paper: 'stuNet', tables: stuNetTables },
  'swin-umamba': { paper: 'swinUmamba', tables: swinUmambaTables },
} as const satisfies Record<string, { paper: PaperName; tables: (budget: StudyBudget) => StudyTable[] }>;

/** The papers that have a study. */
export type StudyName = keyof typeof studies;

/** The papers' names as the command line takes them. */
export const studyNames = Object.keys(studies) as StudyName[];

/** `demo` is the default scale; budgets are a demo's only. `tables`: ids or labels of those wanted, default all. */
export interface StudyChoice extends DemoBudget {
  scale?: Scale;
  tables?: readonly string[];
}

/**
 * Every experiment of every table of a paper, and what every published row is.
 * @throws VoxelbookError naming the papers or tables there are
 */
export function study(name: StudyName, options: StudyChoice = {}): PaperStudy {
  const { scale = 'demo', tables: wanted, ...budget } = options;
  const unknown = (path: string, given: string, expected: readonly string[]) =>
    new VoxelbookError('there is no such study', {
      code: 'study',
      path,
      given: JSON.stringify(given),
      expected: expected.join(', '),
      fix: 'Choose one of these.',
    });
  if (!Object.hasOwn(studies, name)) throw unknown('name', name, studyNames);
  const { paper, tables } = studies[name];
  const all: StudyTable[] = tables(scale === 'demo' ? { scale, ...budget } : { scale });
  const no = wanted?.find((w) => !all.some((t) => t.id === w || t.label === w));
  if (no !== undefined)
    throw unknown(
      'tables',
      no,
      all.map((t) => t.id),
    );
  const chosen = wanted ? all.filter((t) => wanted.includes(t.id) || wanted.includes(t.label)) : all;
  return {
    paper,
    title: `${published[paper].title} (${published[paper].arxiv})`,
    scale,
    tables: chosen,
    experiments: chosen.flatMap((t) => t.experiments),
  };
}

/** What the demo makes of one published table: which experiment each row is, or why it has none. */
export function demoTable(paper: PaperName, id: string): StudyTable {
  const name = studyNames.find((n) => studies[n].paper === paper)!;
  return study(name, { tables: [id] }).tables[0];
}
