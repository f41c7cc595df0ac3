// `voxelbook experiment`: write an experiment with everything spelled out.
import fs from 'node:fs';
import path from 'node:path';
import { atomicWriteJson } from '../../base/atomicWrite.js';
import { projectRoot } from '../../base/paths.js';
import type { ShortExperiment } from '../complete.js';
import { type Command, need, print, usage } from './command.js';

export const experiment: Command = {
  about: 'write an experiment with every default spelled out; the same runs as its short form',
  takes: '<data set>',
  options: {
    network: { type: 'string' },
    size: { type: 'string' },
    kernel: { type: 'string' },
    variant: { type: 'string' },
    plan: { type: 'string' },
    configuration: { type: 'string', short: 'c' },
    scale: { type: 'string' },
    out: { type: 'string' },
    overwrite: { type: 'boolean' },
  },
  help: {
    network: 'mednext, kaist-unet, stunet, swin-umamba, plain-conv-unet …',
    size: 'S, B, M or L of MedNeXt, S to H of STU-Net (default S where the network has sizes)',
    kernel: 'edge of MedNeXt’s kernels (default 3)',
    variant: 'nnFormer: synapse, acdc or tumor (default); TransUNet: R50-ViT-B_16 …',
    plan: 'a plan that a paper fixes, or the path of a plans.json',
    configuration: '2d, 3d_fullres …',
    scale: 'paper (default) or demo: small patches, six short epochs',
    out: 'the file (default: printed)',
    overwrite: 'replace a file that is there',
  },
  example: 'npx voxelbook experiment Dataset027_ACDC --network mednext --size S --out mednext.json',
  async work(positionals, values) {
    const [dataset] = need(positionals, 'data set');
    const { network, plan, configuration, scale, out } = values as Record<string, string | undefined>;
    if (!network) throw usage('no --network', 'the name of a network');
    const { complete } = await import('../complete.js');
    const { withDefaults } = await import('../../base/schema.js');
    const { settingsOf } = await import('../../model/settings.js');
    const short = { dataset, model: modelOf(network, values), plan, configuration, scale };
    const whole = await complete(JSON.parse(JSON.stringify(short)) as ShortExperiment, { onNote: () => {} });
    const settings = settingsOf(whole.model.network);
    const text = {
      $schema: path.join(projectRoot, 'environment/docs/experiment.schema.json'),
      ...whole,
      model: settings ? withDefaults(settings, whole.model) : whole.model,
    };
    if (!out) {
      print(JSON.stringify(text, null, 2));
      return;
    }
    if (fs.existsSync(out) && values.overwrite !== true) throw usage(`${out}, which is there`, 'a new file, or --overwrite');
    atomicWriteJson(path.resolve(out), text);
    print(`written to ${out}; npx voxelbook run ${out}`);
  },
};

/** A specification of the named network with what has no default. */
function modelOf(network: string, { size, kernel, variant }: Record<string, unknown>) {
  const needs: Record<string, object> = {
    mednext: { size: 'S', kernel: 3 },
    stunet: { size: 'S' },
    nnformer: { variant: 'tumor' },
  };
  const given = { size, kernel: kernel === undefined ? undefined : Number(kernel), variant };
  return { network, ...(Object.hasOwn(needs, network) ? needs[network] : {}), ...JSON.parse(JSON.stringify(given)) };
}
