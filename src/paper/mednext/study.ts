// MedNeXt (2303.09975): every published table, and which experiment each row is, or why there is none.
import { counted, each, every, reasons, type StudyBudget, type StudyTable, without } from '../shared/study.js';
import { comparison, independent, table1 } from './experiments.js';

export function tables(budget: StudyBudget): StudyTable[] {
  const { scale } = budget;
  const large = 'MedNeXt-L (kernel 5)';
  return [
    counted('mednext', 'table1-left', '1 left'),
    counted('mednext', 'readme-architectures', 'README'),
    {
      id: 'table2',
      label: '2',
      experiments: each(scale, ['BTCV', 'AMOS22', 'KiTS19', 'BraTS21'], (dataset) => comparison({ ...budget, dataset })),
    },
    {
      id: 'table1-right',
      label: '1 right',
      experiments: each(scale, ['BTCV', 'AMOS22'], (dataset) => table1({ ...budget, dataset })),
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
      experiments: each(scale, ['BTCV', 'BraTS21'], (dataset) => independent({ ...budget, dataset })),
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
      absent: Object.fromEntries(['Primus-M', 'PrimusV2-M', 'PrimusV3-S'].map((row) => [row, reasons.otherNetwork])),
    },
    { id: 'secondary-pdc-net', label: 'PDC-Net', experiments: [], as: { 'MedNeXt-M': 'MedNeXt-M (kernel 3)' } },
    elsewhere('independent-touchstone', 'Touchstone JHH'),
    elsewhere('independent-touchstone-totalsegmentator', 'Touchstone TotalSegmentator'),
    elsewhere('independent-rep3d', 'Rep3D'),
    elsewhere('independent-auto-nnunet', 'Auto-nnU-Net'),
  ];
}

/** What others measured on data that is not described here: to read beside, not to run. */
const elsewhere = (id: string, label: string): StudyTable => ({
  id,
  label,
  experiments: [],
  absent: every('mednext', id, reasons.otherData),
});
