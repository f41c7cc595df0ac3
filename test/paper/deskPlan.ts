// The plan of a desk study for tests: DSC, margin 0.02, Holm.
import type { DeskPlan } from '../../src/paper/index.js';

export const deskPlan = (claims: DeskPlan['claims']): DeskPlan => ({
  writtenOn: '2026-01-01',
  metric: 'dsc',
  margin: 0.02,
  marginWhy: 'a test.',
  alpha: 0.05,
  correction: 'holm',
  claims,
});
