// The experiment planners of nnU-Net v2, as data.

export interface PlannerSettings {
  /** nnU-Net's class name; stands in the plan. */
  name: string;
  plansName: string;
  network: 'plain' | 'residual';
  /** GPU memory the reference values stand for, GB. */
  gpuGb: number;
  /** Feature-map voxels that fit, 3-D and 2-D. */
  reference: { 2: number; 3: number };
  /** Largest share of all voxels of the data set in one batch. */
  coverage: number;
}

/** nnU-Net v2's experiment planners, by name. */
export const planners = {
  ExperimentPlanner: {
    name: 'ExperimentPlanner',
    plansName: 'nnUNetPlans',
    network: 'plain',
    gpuGb: 8,
    reference: { 2: 85000000, 3: 560000000 },
    coverage: 0.05,
  },
  ResEncUNetPlanner: {
    name: 'ResEncUNetPlanner',
    plansName: 'nnUNetResEncUNetPlans',
    network: 'residual',
    gpuGb: 8,
    reference: { 2: 135000000, 3: 680000000 },
    coverage: 0.05,
  },
  nnUNetPlannerResEncM: {
    name: 'nnUNetPlannerResEncM',
    plansName: 'nnUNetResEncUNetMPlans',
    network: 'residual',
    gpuGb: 8,
    reference: { 2: 135000000, 3: 680000000 },
    coverage: 1,
  },
  nnUNetPlannerResEncL: {
    name: 'nnUNetPlannerResEncL',
    plansName: 'nnUNetResEncUNetLPlans',
    network: 'residual',
    gpuGb: 24,
    reference: { 2: 380000000, 3: 2100000000 },
    coverage: 1,
  },
  nnUNetPlannerResEncXL: {
    name: 'nnUNetPlannerResEncXL',
    plansName: 'nnUNetResEncUNetXLPlans',
    network: 'residual',
    gpuGb: 40,
    reference: { 2: 560000000, 3: 3600000000 },
    coverage: 1,
  },
} as const satisfies Record<string, PlannerSettings>;

/** Name of a built-in planner. */
export type PlannerName = keyof typeof planners;
