// KAIST BraTS21 (2112.04653): every published table, and which experiment each row is, or why there is none.
import type { StudyBudget, StudyTable } from '../shared/study.js';
import { crossValidation } from './experiments.js';

export function tables(budget: StudyBudget): StudyTable[] {
  const together = ['BL', 'BL+L+GN'];
  return [
    { id: 'cv-per-model', label: 'CV', experiments: crossValidation(budget) },
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
