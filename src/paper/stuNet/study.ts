// STU-Net (2304.06716): every published table, and which experiment each row is, or why there is none.
import { counted, each, every, reasons, type StudyBudget, type StudyTable, without } from '../shared/study.js';
import {
  bubbles,
  dataShare,
  directlyInferred,
  expertNames,
  experts,
  finetuning,
  type Size,
  scaling,
  scalingAblation,
  sizes,
  upsamplingAblation,
} from './experiments.js';

export function tables(budget: StudyBudget): StudyTable[] {
  const { scale } = budget;
  const bySize = <T>(key: (size: Size) => string, value: (size: Size) => T): Record<string, T> =>
    Object.fromEntries(sizes.map((size) => [key(size), value(size)]));
  const together = (size: Size) => `STU-Net-${size}, 5 experts`;
  return [
    counted('stuNet', 'model-sizes', 'sizes'),
    {
      id: 'totalsegmentator-mean',
      label: 'mean',
      experiments: [...scaling(budget), ...(scale === 'demo' ? bubbles(budget) : [])],
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
      experiments: scale === 'demo' ? experts(budget) : [],
      as: bySize(
        (size) => `STU-Net-${size}, 1 model`,
        (size) => `STU-Net-${size}`,
      ),
      // Which classes are in which of the five groups is not published; the demo's groups are its own.
      ...(scale === 'demo' ? { joined: bySize(together, expertNames) } : { absent: bySize(together, () => reasons.notSaid) }),
    },
    {
      id: 'data-efficiency',
      label: 'share',
      experiments: dataShare(budget),
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
      joined: { Mean: directlyInferred },
      absent: without(every('stuNet', 'table4-direct-inference', reasons.otherData), 'Mean'),
    },
    {
      id: 'table5-finetuning',
      label: '5',
      experiments: each(scale, ['FLARE22', 'AMOS22CTMR', 'AutoPET22'], (dataset) => finetuning({ ...budget, dataset })),
    },
    { id: 'scaling-ablation', label: 'scaling', experiments: scalingAblation(budget) },
    { id: 'upsampling-ablation', label: 'upsampling', experiments: upsamplingAblation(budget) },
    {
      id: 'independent-nnunet-revisited',
      label: 'Revisited',
      experiments: [],
      as: { 'STU-Net S': 'STU-Net-S', 'STU-Net B': 'STU-Net-B', 'STU-Net L': 'STU-Net-L', 'nnU-Net (org.)': 'nnU-Net' },
    },
  ];
}
