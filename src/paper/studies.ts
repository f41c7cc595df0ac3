// A paper's whole study: every table that needs training, its experiments, and which published row each of them is.
//
// Names are those of the command line: `npx voxelbook reproduce mednext --scale paper --dry-run`.
import { VoxelbookError } from '../base/errors.js';
import type { Experiment, Scale } from '../train/experiment.js';
import { type PaperName, published } from './claims.js';
import * as kaistBrats21 from './kaistBrats21/index.js';
import * as mednext from './mednext/index.js';
import * as stuNet from './stuNet/index.js';
import * as swinUmamba from './swinUmamba/index.js';

export interface StudyTable {
  /** Id of the published table. */
  id: string;
  /** What a row of a plan says for it: `2`, `1 right`. */
  label: string;
  experiments: Experiment[];
  /** Published row → name of its experiment, where they differ. */
  as?: Record<string, string>;
  /** Published rows that no experiment stands for, and why. */
  absent?: Record<string, string>;
}

export interface PaperStudy {
  paper: PaperName;
  title: string;
  scale: Scale;
  tables: StudyTable[];
  /** Experiments of all tables, in order; an experiment of two tables is in it twice, and one run. */
  experiments: Experiment[];
}

/** At paper scale the tables' data sets; at demo scale one embedded set each function chooses. */
const each = (scale: Scale, sets: readonly string[], make: (dataset?: string) => Experiment[]) =>
  scale === 'demo' ? make() : sets.flatMap((set) => make(set));

const noNetwork = 'no network of it here';

function mednextTables(scale: Scale): StudyTable[] {
  return [
    {
      id: 'table2',
      label: '2',
      experiments: each(scale, ['BTCV', 'AMOS22', 'KiTS19', 'BraTS21'], (dataset) => mednext.comparison({ scale, dataset })),
    },
    {
      id: 'table1-right',
      label: '1 right',
      experiments: each(scale, ['BTCV', 'AMOS22'], (dataset) => mednext.table1({ scale, dataset })),
    },
    {
      // Its other sets are ACDC, LiTS, KiTS23 and all of AMOS22; BTCV and BraTS21 are the two that both papers have.
      id: 'independent-nnunet-revisited',
      label: 'Revisited',
      experiments: each(scale, ['BTCV', 'BraTS21'], (dataset) => mednext.independent({ scale, dataset })),
      as: {
        'nnU-Net (org.)': 'nnUNet',
        'nnU-Net ResEnc M': 'ResEnc M',
        'nnU-Net ResEnc L': 'ResEnc L',
        'nnU-Net ResEnc XL': 'ResEnc XL',
        'MedNeXt L k3': 'MedNeXt-L (kernel 3)',
        'MedNeXt L k5': 'MedNeXt-L (kernel 5)',
        'U-Mamba Bot': 'U-Mamba_Bot',
        'U-Mamba Enc': 'U-Mamba_Enc',
      },
      absent: { SwinUNETRV2: noNetwork, CoTr: noNetwork, 'No-Mamba Base': noNetwork },
    },
  ];
}

function kaistTables(scale: Scale): StudyTable[] {
  const together = 'an ensemble of finished runs: run.ensemble, no training';
  return [
    { id: 'cv-per-model', label: 'CV', experiments: kaistBrats21.crossValidation({ scale }) },
    {
      id: 'validation-leaderboard',
      label: 'leaderboard',
      experiments: [],
      absent: { 'BL and BL+L+GN ensemble': together, 'ensemble + ET threshold 200': together },
    },
    {
      id: 'test',
      label: 'test',
      experiments: [],
      absent: { 'submitted ensemble (BL + BL+L+GN, ET<200 voxels to necrosis)': together },
    },
  ];
}

function stuNetTables(scale: Scale): StudyTable[] {
  const whole = Object.fromEntries(stuNet.sizes.map((size) => [`STU-Net-${size}`, `STU-Net-${size}, 100 %`]));
  const bubble = 'the figure does not say which size of the network it is';
  const experts = Object.fromEntries(
    stuNet.sizes.map((size) => [`STU-Net-${size}, 5 experts`, 'the five groups of classes are not published as label lists']),
  );
  return [
    {
      id: 'totalsegmentator-mean',
      label: 'mean',
      experiments: stuNet.scaling({ scale }),
      as: { 'UNETR (larger bubble)': 'UNETR' },
      absent: {
        'UNETR (smaller bubble)': bubble,
        'SwinUNETR (largest bubble)': bubble,
        'SwinUNETR (smallest bubble)': bubble,
      },
    },
    {
      id: 'experts-vs-universal',
      label: 'experts',
      experiments: [],
      as: Object.fromEntries(stuNet.sizes.map((size) => [`STU-Net-${size}, 1 model`, `STU-Net-${size}`])),
      absent: experts,
    },
    { id: 'data-efficiency', label: 'share', experiments: stuNet.dataShare({ scale }), as: whole },
    {
      id: 'table5-finetuning',
      label: '5',
      experiments: each(scale, ['FLARE22', 'AMOS22CTMR', 'AutoPET22'], (dataset) => stuNet.finetuning({ scale, dataset })),
    },
    { id: 'scaling-ablation', label: 'scaling', experiments: stuNet.scalingAblation({ scale }) },
    { id: 'upsampling-ablation', label: 'upsampling', experiments: stuNet.upsamplingAblation({ scale }) },
  ];
}

function swinUmambaTables(scale: Scale): StudyTable[] {
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
        experiments: swinUmamba.comparison({ scale, task, version }),
        as: { 'Swin-UMamba† w/o pretraining (*)': 'Swin-UMamba† w/o pretraining' },
        absent: { nnFormer: 'no published 2-D code' },
      }),
    ),
  );
}

const studies = {
  mednext: { paper: 'mednext', tables: mednextTables },
  'kaist-brats21': { paper: 'kaistBrats21', tables: kaistTables },
  'stu-net': { paper: 'stuNet', tables: stuNetTables },
  'swin-umamba': { paper: 'swinUmamba', tables: swinUmambaTables },
} as const satisfies Record<string, { paper: PaperName; tables: (scale: Scale) => StudyTable[] }>;

export type StudyName = keyof typeof studies;

/** The papers' names as the command line takes them. */
export const studyNames = Object.keys(studies) as StudyName[];

/**
 * Every experiment of every table of a paper.
 * @param options.scale `demo` (default) or `paper`
 * @param options.tables ids or labels of the tables wanted; default all
 * @throws VoxelbookError naming the papers or tables there are
 */
export function study(name: StudyName, options: { scale?: Scale; tables?: readonly string[] } = {}): PaperStudy {
  const { scale = 'demo', tables: wanted } = options;
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
  const all: StudyTable[] = tables(scale);
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
