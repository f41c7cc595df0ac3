// Swin-UMamba (2402.03302): every published table, and which experiment each row is, or why there is none.
import { reasons, type StudyBudget, type StudyTable } from '../shared/study.js';
import { comparison } from './experiments.js';

export function tables(budget: StudyBudget): StudyTable[] {
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
        experiments: comparison({ ...budget, task, version }),
        absent: { nnFormer: reasons.noCode }, // its 2-D version
      }),
    ),
  );
}
