// Small networks with drawn weights on the golden data's plans, as what is exported and as what predicts.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StoredTensor } from '../../src/base/safetensors.js';
import { type DatasetJson, labels } from '../../src/dataset/index.js';
import { build, type ModelSpec } from '../../src/model/index.js';
import type { ExportModel } from '../../src/onnx/index.js';
import { configuration, inputChannels, type Plan } from '../../src/plan/index.js';
import { forwardOf, type PredictionModel } from '../../src/predict/index.js';
import { tf } from '../../src/tensor/tf.js';
import { fromParams } from '../../src/weights/index.js';
import { tinyNetworks } from '../model/tinyNetworks.js';

export const golden = fileURLToPath(new URL('../golden/nnunet/preprocessing', import.meta.url));

/** A small network with drawn weights on a plan of the golden data. */
export interface Drawn {
  set: string;
  configuration: string;
  patch: number[];
  spec: ModelSpec;
  settings?: Partial<PredictionModel['settings']>;
  folds?: number;
  /** Of the plan, instead of its own. */
  reader?: string;
}

export function drawn({ set, configuration: name, patch, spec, settings, folds = 1, reader }: Drawn) {
  const read = <T>(file: string): T => JSON.parse(fs.readFileSync(path.join(golden, set, file), 'utf8'));
  const plan = read<Plan>('nnUNetPlans.json');
  plan.configurations[name].patch_size = patch;
  if (reader) plan.image_reader_writer = reader;
  const dataset = read<DatasetJson>('raw/dataset.json');
  const config = configuration(plan, name);
  const ends = { inputChannels: inputChannels(dataset, config), classes: labels(dataset).heads };
  const models = Array.from({ length: folds }, (_, seed) => build(spec, config, { seed, ...ends }));
  const model: ExportModel = {
    name: 'drawn',
    kind: spec.network,
    plan,
    configuration: name,
    dataset,
    settings: { stepSize: 0.5, gaussian: true, mirrorAxes: [], average: 'logits', ...settings },
    members: models.map(({ network, params }, i) => ({
      fold: String(i),
      load: () => ({ network, tensors: fromParams(network, params) as Record<string, StoredTensor> }),
    })),
  };
  const forwards = models.map(({ network, params }) => forwardOf(network, params));
  const prediction: PredictionModel = { ...model, forwards };
  const images = path.join(golden, set, 'raw', 'imagesTr');
  return { model, prediction, images, dispose: () => tf.dispose(models.map(({ params }) => params)) };
}

const spec = (name: string, more: object = {}) => ({ ...tinyNetworks[name].spec, ...more }) as ModelSpec;

/** Models that between them use everything a bundle can say. */
export const rows: Record<string, Drawn & { labels: number }> = {
  'CT of thick slices, cubic to the plan and back, two folds': {
    set: 'Dataset721_CTaniso',
    configuration: '3d_custom',
    patch: [8, 16, 16],
    spec: spec('plain-conv-unet'),
    settings: { mirrorAxes: [2] },
    folds: 2,
    labels: 3,
  },
  'regions, z-score inside the mask, probabilities averaged': {
    set: 'Dataset722_MRI4regions',
    configuration: '3d_custom',
    patch: [16, 16, 16],
    spec: spec('mednext, deep supervision'),
    settings: { average: 'probabilities', mirrorAxes: [1] },
    folds: 2,
    labels: 3,
  },
  'turned to RAS and axes exchanged, largest component': {
    set: 'Dataset724_SagittalMR',
    configuration: '3d_custom',
    patch: [4, 16, 16],
    reader: 'NibabelIOWithReorient',
    spec: spec('stunet'),
    settings: {
      gaussian: false,
      postprocessing: [
        { kind: 'remove_all_but_largest_component_from_segmentation', labels_or_regions: [1] },
        { kind: 'replace_if_small', label: 1, by: 2, belowMm3: 1 },
      ],
    },
    labels: 2,
  },
  'slice by slice, selective scans': {
    set: 'Dataset721_CTaniso',
    configuration: '2d',
    patch: [64, 64],
    spec: spec('swin-umamba-d'),
    labels: 2,
  },
};
