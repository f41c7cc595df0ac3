// `voxelbook plan`: fingerprint a data set and plan it by the rules of nnU-Net v2.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../../base/atomicWrite.js';
import { type Command, interrupt, need, print, workProgress } from './command.js';

export const plan: Command = {
  about: 'fingerprint a data set and plan it by the rules of nnU-Net v2',
  takes: '<data set>',
  options: { planner: { type: 'string' }, out: { type: 'string' }, 'gpu-gb': { type: 'string' } },
  help: {
    planner: 'ExperimentPlanner (default), ResEncUNetPlanner, nnUNetPlannerResEncM, …L, …XL',
    out: 'folder for dataset_fingerprint.json and the plan (default: the preprocessed folder of the data set)',
    'gpu-gb': 'GPU memory to plan for',
  },
  example: 'npx voxelbook plan SimGlioma',
  async work(positionals, values) {
    const [name] = need(positionals, 'data set');
    const { open } = await import('../../dataset/index.js');
    const { fingerprint, plan } = await import('../../plan/index.js');
    const { preprocessedFolder } = await import('../../preprocess/index.js');
    const dataset = open(name, { onProgress: workProgress });
    const print_ = await fingerprint(dataset, { onProgress: workProgress, signal: interrupt() });
    const planned = plan(dataset, print_, {
      planner: values.planner as 'ExperimentPlanner' | undefined,
      gpuMemoryGb: values['gpu-gb'] === undefined ? undefined : Number(values['gpu-gb']),
    });
    const folder = path.resolve(String(values.out ?? preprocessedFolder(dataset)));
    fs.mkdirSync(folder, { recursive: true });
    atomicWriteJson(path.join(folder, 'dataset_fingerprint.json'), print_);
    atomicWriteJson(path.join(folder, `${planned.plans_name}.json`), planned);
    for (const [key, c] of Object.entries(planned.configurations))
      if (c.patch_size) print(`${key}: patch [${c.patch_size}], batch ${c.batch_size}, spacing [${c.spacing}] mm`);
    print(`written to ${folder}`);
  },
};
