// A paper's whole study: every published table, its experiments, and which published row each of them is, or why there is none.
//
// Names are those of the command line: `npx voxelbook reproduce mednext --scale paper --dry-run`.
import { VoxelbookError } from '../base/errors.js';
import type { Experiment, Scale } from '../train/experiment.js';
import * as kaistBrats21 from './kaistBrats21/index.js';
import * as mednext from './mednext/index.js';
import { type PaperName, published, rowName } from './shared/claims.js';
import type { DemoBudget } from './shared/demoExperiment.js';
import type { Size } from './stuNet/index.js';
import * as stuNet from './stuNet/index.js';
import * as swinUmamba from './swinUmamba/index.js';

/** Why a published row may be without an experiment. There is no other reason; a row without one of these is a fault. */
export const reasons = {
  noCode: 'no published code of this network',
  otherData: 'a row of a data set that is not at hand',
  notSaid: 'the paper does not say with which settings',
  noTraining: 'counted on shapes, nothing is trained',
} as const;

export type Reason = (typeof reasons)[keyof typeof reasons];

export interface StudyTable {
  /** Id of the published table. */
  id: string;
  /** What a row of a plan says for it: `2`, `1 right`. */
  label: string;
  /** What it needs beyond the other tables' experiments. */
  experiments: Experiment[];
  /** Published row → name of its experiment, where they differ. */
  as?: Record<string, string>;
  /** Published rows made of several experiments' finished runs: an ensemble, experts side by side, a mean over networks. */
  joined?: Record<string, string[]>;
  /** Published rows that no experiment stands for, and why. */
  absent?: Record<string, Reason>;
}

export interface PaperStudy {
  paper: PaperName;
  title: string;
  scale: Scale;
  tables: StudyTable[];
  /** Experiments of all tables, in order; an experiment of two tables is in it twice, and one run. */
  experiments: Experiment[];
}

type Budget = DemoBudget & { scale: Scale };

/** At paper scale the tables' data sets; at demo scale one embedded set each function chooses. */
const each = (scale: Scale, sets: readonly string[], make: (dataset?: string) => Experiment[]) =>
  scale === 'demo' ? make() : sets.flatMap((set) => make(set));

/** Every row of a published table with one value. */
const every = <T>(paper: PaperName, id: string, value: T): Record<string, T> => {
  const table = published[paper].tables.find((t) => t.id === id)!;
  return Object.fromEntries(table.rows.map((row) => [rowName(table, row), value]));
};

const without = <T>(record: Record<string, T>, key: string): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));

const counted = (paper: PaperName, id: string, label: string): StudyTable => ({
  id,
  label,
  experiments: [],
  absent: every(paper, id, reasons.noTraining),
});

function mednextTables(budget: Budget): StudyTable[] {
  const { scale } = budget;
  const large = 'MedNeXt-L (kernel 5)';
  return [
    counted('mednext', 'table1-left', '1 left'),
    counted('mednext', 'readme-architectures', 'README'),
    {
      id: 'table2',
      label: '2',
      experiments: each(scale, ['BTCV', 'AMOS22', 'KiTS19', 'BraTS21'], (dataset) => mednext.comparison({ ...budget, dataset })),
    },
    {
      id: 'table1-right',
      label: '1 right',
      experiments: each(scale, ['BTCV', 'AMOS22'], (dataset) => mednext.table1({ ...budget, dataset })),
    },
    {
      // Hidden test sets of four challenges; simulated tumours stand for one of them.
      id: 'fig1c-leaderboard',
      label: 'leaderboard',
      experiments: [],
      ...(scale === 'demo'
        ? { as: { BraTS21: large }, absent: without(every('mednext', 'fig1c-leaderboard', reasons.otherData), 'BraTS21') }
        : { as: every('mednext', 'fig1c-leaderboard', large) }),
    },
    {
      // Its other sets are ACDC, LiTS, KiTS23 and all of AMOS22; BTCV and BraTS21 are the two that both papers have.
      id: 'independent-nnunet-revisited',
      label: 'Revisited',
      experiments: each(scale, ['BTCV', 'BraTS21'], (dataset) => mednext.independent({ ...budget, dataset })),
      as: {
        'nnU-Net (org.)': 'nnUNet',
        'nnU-Net ResEnc M': 'ResEnc M',
        'nnU-Net ResEnc L': 'ResEnc L',
        'nnU-Net ResEnc XL': 'ResEnc XL',
        'MedNeXt L k3': 'MedNeXt-L (kernel 3)',
        'MedNeXt L k5': large,
        'U-Mamba Bot': 'U-Mamba_Bot',
        'U-Mamba Enc': 'U-Mamba_Enc',
      },
    },
    {
      id: 'independent-primus',
      label: 'Primus',
      experiments: [],
      as: { 'nnU-Net': 'nnUNet', 'ResEnc-L': 'ResEnc L', 'MedNeXt-L': 'MedNeXt-L (kernel 3)' },
    },
    { id: 'secondary-pdc-net', label: 'PDC-Net', experiments: [], as: { 'MedNeXt-M': 'MedNeXt-M (kernel 3)' } },
  ];
}

function kaistTables(budget: Budget): StudyTable[] {
  const together = ['BL', 'BL+L+GN'];
  return [
    { id: 'cv-per-model', label: 'CV', experiments: kaistBrats21.crossValidation(budget) },
    {
      id: 'validation-leaderboard',
      label: 'leaderboard',
      experiments: [],
      joined: { 'BL and BL+L+GN ensemble': together, 'ensemble + ET threshold 200': together },
    },
    {
      id: 'test',
      label: 'test',
      experiments: [],
      joined: { 'submitted ensemble (BL + BL+L+GN, ET<200 voxels to necrosis)': together },
    },
  ];
}

function stuNetTables(budget: Budget): StudyTable[] {
  const { scale } = budget;
  const { sizes } = stuNet;
  const bySize = <T>(key: (size: Size) => string, value: (size: Size) => T): Record<string, T> =>
    Object.fromEntries(sizes.map((size) => [key(size), value(size)]));
  const experts = (size: Size) => `STU-Net-${size}, 5 experts`;
  return [
    counted('stuNet', 'model-sizes', 'sizes'),
    {
      id: 'totalsegmentator-mean',
      label: 'mean',
      experiments: [...stuNet.scaling(budget), ...(scale === 'demo' ? stuNet.bubbles(budget) : [])],
      as: { 'UNETR (larger bubble)': 'UNETR' },
      // Settings of the further bubbles are not published; the demo's are a wider and a narrower network of ours.
      absent:
        scale === 'demo'
          ? {}
          : {
              'UNETR (smaller bubble)': reasons.notSaid,
              'SwinUNETR (largest bubble)': reasons.notSaid,
              'SwinUNETR (smallest bubble)': reasons.notSaid,
            },
    },
    { id: 'totalsegmentator-groups', label: 'groups', experiments: [] },
    {
      id: 'experts-vs-universal',
      label: 'experts',
      experiments: scale === 'demo' ? stuNet.experts(budget) : [],
      as: bySize(
        (size) => `STU-Net-${size}, 1 model`,
        (size) => `STU-Net-${size}`,
      ),
      // Which classes are in which of the five groups is not published; the demo's groups are its own.
      ...(scale === 'demo'
        ? { joined: bySize(experts, stuNet.expertNames) }
        : { absent: bySize(experts, () => reasons.notSaid) }),
    },
    {
      id: 'data-efficiency',
      label: 'share',
      experiments: stuNet.dataShare(budget),
      as: bySize(
        (size) => `STU-Net-${size}`,
        (size) => `STU-Net-${size}, 100 %`,
      ),
    },
    {
      // No training: the scaling figure's networks on other data. One embedded set stands for the mean over fourteen.
      id: 'table4-direct-inference',
      label: '4',
      experiments: [],
      joined: { Mean: stuNet.directlyInferred },
      absent: without(every('stuNet', 'table4-direct-inference', reasons.otherData), 'Mean'),
    },
    {
      id: 'table5-finetuning',
      label: '5',
      experiments: each(scale, ['FLARE22', 'AMOS22CTMR', 'AutoPET22'], (dataset) => stuNet.finetuning({ ...budget, dataset })),
    },
    { id: 'scaling-ablation', label: 'scaling', experiments: stuNet.scalingAblation(budget) },
    { id: 'upsampling-ablation', label: 'upsampling', experiments: stuNet.upsamplingAblation(budget) },
    {
      id: 'independent-nnunet-revisited',
      label: 'Revisited',
      experiments: [],
      as: { 'STU-Net S': 'STU-Net-S', 'STU-Net B': 'STU-Net-B', 'STU-Net L': 'STU-Net-L', 'nnU-Net (org.)': 'nnU-Net' },
    },
  ];
}

function swinUmambaTables(budget: Budget): StudyTable[] {
  const tasks = [
    ['AbdomenMRI', '1', 'table1-abdomenmri'],
    ['Endoscopy', '2', 'table2-endoscopy'],
    ['Microscopy', '3', 'table3-microscopy'],
  ] as const;
  return (['v2', 'v1'] as const).flatMap((version) =>
    tasks.map(
      ([task, number, id]): StudyTable => ({
        id: `${version}-${id}`,
        label: version === 'v2' ? number : `${number} (v1)`,
        experiments: swinUmamba.comparison({ ...budget, task, version }),
        absent: { nnFormer: reasons.noCode }, // its 2-D version
      }),
    ),
  );
}

const studies = {
  mednext: { paper: 'mednext', tables: mednextTables },
  'kaist-brats21': { paper: 'kaistBrats21', tables: kaistTables },
  'stu-net': { paper: 'stuNet', tables: stuNetTables },
  'swin-umamba': { paper: 'swinUmamba', tables: swinUmambaTables },
} as const satisfies Record<string, { paper: PaperName; tables: (budget: Budget) => StudyTable[] }>;

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
