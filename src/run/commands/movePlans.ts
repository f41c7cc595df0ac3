// `voxelbook move-plans`: a plan of one data set for another, as pre-training needs it.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../../base/atomicWrite.js';
import { VoxelbookError } from '../../base/errors.js';
import { type Command, need, print, usage } from './command.js';

export const movePlans: Command = {
  about: 'give a data set the plan of another one, for pre-training (nnUNetv2_move_plans_between_datasets)',
  takes: '<from data set> <to data set>',
  options: { plans: { type: 'string' }, as: { type: 'string' }, overwrite: { type: 'boolean' } },
  help: {
    plans: 'name of the plan (default nnUNetPlans)',
    as: 'its name at the other data set (default: the same)',
    overwrite: 'replace a plan of that name that stands there',
  },
  example: 'npx voxelbook move-plans TotalSegmentator BTCV --plans nnUNetPlans --as nnUNetPlansTS',
  async work(positionals, values) {
    const [from, to] = need(positionals, 'from data set', 'to data set');
    const { plans = 'nnUNetPlans', as: name = plans } = values as { plans?: string; as?: string };
    for (const given of [plans, name]) if (!/^\w[\w.-]{0,199}$/.test(given)) throw usage(given, 'letters, digits, ., - and _');
    const { open } = await import('../../dataset/index.js');
    const { movedPlan, planFromJson, readerNameOf, readPlan } = await import('../../plan/index.js');
    const { preprocessedFolder } = await import('../../preprocess/index.js');
    const { readGrid } = await import('../../volume/index.js');
    const source = path.join(preprocessedFolder(open(from)), `${plans}.json`);
    const target = open(to);
    const file = path.join(preprocessedFolder(target), `${name}.json`);
    if (fs.existsSync(file) && values.overwrite !== true)
      throw new VoxelbookError('a plan stands there', {
        code: 'plan-kept',
        path: file,
        given: 'a plan of this name',
        expected: 'none',
        fix: 'Give --as and another name, or --overwrite.',
      });
    const [first] = target.cases;
    const shape = first && readGrid(first.images[0])?.shape;
    const reader = readerNameOf(target.json, { shapes_after_crop: shape ? [[...shape]] : [] });
    const moved = movedPlan(readPlan(source), target, reader, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    atomicWriteJson(file, planFromJson(moved));
    print(`written to ${file}; "plan": "${file}" in an experiment trains by it`);
  },
};
