// `voxelbook plan`: fingerprint a data set and plan it by the rules of nnU-Net v2.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import type { Plan } from '../../plan/index.js';
import { type Command, interrupt, loadModules, moduleHelp, moduleOption, need, print, usage, workProgress } from './command.js';

export const plan: Command = {
  about: 'fingerprint a data set and plan it by the rules of nnU-Net v2',
  takes: '<data set>',
  options: {
    ...moduleOption,
    overwrite: { type: 'boolean' },
    planner: { type: 'string' },
    out: { type: 'string' },
    'gpu-gb': { type: 'string' },
  },
  help: {
    ...moduleHelp,
    overwrite: 'replace a plan that was edited or came from elsewhere',
    planner: 'ExperimentPlanner (default), ResEncUNetPlanner, nnUNetPlannerResEncM, …L, …XL, or one that an extension brings',
    out: 'folder for dataset_fingerprint.json and the plan (default: the preprocessed folder of the data set)',
    'gpu-gb': 'GPU memory to plan for',
  },
  example: 'npx voxelbook plan SimGlioma',
  async work(positionals, values) {
    const [name] = need(positionals, 'data set');
    await loadModules(values);
    const { open } = await import('../../dataset/index.js');
    const { fingerprintOf, plan, storePlan } = await import('../../plan/index.js');
    const { preprocessedFolder } = await import('../../preprocess/index.js');
    const dataset = open(name, { onProgress: workProgress });
    const print_ = await fingerprintOf(dataset, { onProgress: workProgress, signal: interrupt() });
    const planned = plan(dataset, print_, {
      planner: values.planner as string | undefined,
      gpuMemoryGb: values['gpu-gb'] === undefined ? undefined : gigabytes(values['gpu-gb']),
    });
    const folder = path.resolve(String(values.out ?? preprocessedFolder(dataset)));
    fs.mkdirSync(folder, { recursive: true });
    if (values.out) atomicWriteJson(path.join(folder, 'dataset_fingerprint.json'), print_);
    if (!storePlan(folder, planned, { overwrite: values.overwrite === true })) throw await kept(folder, planned);
    for (const [key, c] of Object.entries(planned.configurations))
      if (c.patch_size) print(`${key}: patch [${c.patch_size}], batch ${c.batch_size}, spacing [${c.spacing}] mm`);
    print(`written to ${folder}`);
  },
};

/** A person's plan that stays, with what would be planned otherwise. */
async function kept(folder: string, planned: Plan): Promise<VoxelbookError> {
  const { planDifferences, readPlan } = await import('../../plan/index.js');
  const file = path.join(folder, `${planned.plans_name}.json`);
  const lines = planDifferences(planned, readPlan(file));
  return new VoxelbookError(`${file} is not as it was planned, and stays`, {
    code: 'plan-kept',
    path: file,
    given:
      lines.length === 0
        ? 'a plan from elsewhere, the same as would be planned'
        : `other than planned: ${lines.slice(0, 10).join('; ')}`,
    expected: 'no plan, or one that this command wrote',
    fix: 'Training uses it as it is; plan --overwrite replaces it.',
  });
}

const gigabytes = (value: unknown): number => {
  const n = Number(value);
  if (!(n > 0 && n <= 10000)) throw usage(`--gpu-gb ${value}`, 'a number above 0, at most 10000');
  return n;
};
