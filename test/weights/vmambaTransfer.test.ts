import assert from 'node:assert';
import fs from 'node:fs';
import { swinUmamba } from '../../src/model/papers/swinUmamba.js';
import { swinUmambaD } from '../../src/model/papers/swinUmambaD.js';
import { vmambaName, vmambaRule, vmambaTransfer } from '../../src/weights/vmambaTransfer.js';

const golden = new URL('../golden/models/swin-umamba/full/vmamba-checkpoint-loading.json', import.meta.url);
const entries = JSON.parse(fs.readFileSync(golden, 'utf8')).checkpoint_entries as [string, number[]][];
const v2 = swinUmamba.build({ network: 'swin-umamba', inputChannels: 1, classes: 2 });
const dagger = (inputChannels: number) => ({
  network: 'swin-umamba-d' as const,
  inputChannels,
  parameters: swinUmambaD.build({ network: 'swin-umamba-d', inputChannels, classes: 2 }).parameters,
});

describe('vmambaTransfer', () => {
  it('merging layers are renamed, everything else gets the prefix', () => {
    assert.strictEqual(vmambaName('layers.1.downsample.norm.bias'), 'vssm_encoder.downsamples.1.norm.bias');
    assert.strictEqual(vmambaName('layers.2.blocks.8.ln_1.weight'), 'vssm_encoder.layers.2.blocks.8.ln_1.weight');
  });

  it('Swin-UMamba takes 205 of 212 entries, the bias of the embedding’s norm among them, its weight not', () => {
    const rows = vmambaTransfer(entries, { network: 'swin-umamba', inputChannels: 1, parameters: v2.parameters });
    const outcome = (name: string) => rows.find((r) => r.name === name)!.outcome;
    assert.strictEqual(rows.filter((r) => r.outcome === 'loaded').length, 205);
    assert.strictEqual(outcome('patch_embed.norm.bias'), 'loaded');
    assert.strictEqual(outcome('patch_embed.norm.weight'), 'skipped');
  });

  it('the dagger takes the embedding only where the channels agree', () => {
    const loaded = (channels: number) => vmambaTransfer(entries, dagger(channels)).filter((r) => r.outcome === 'loaded').length;
    assert.strictEqual(loaded(1), 204);
    assert.strictEqual(loaded(3), 208);
  });

  it('as a rule it renames what is loaded and leaves out the rest', () => {
    const rule = vmambaRule(vmambaTransfer(entries, dagger(1)));
    assert.strictEqual(rule.rename!('layers.0.downsample.reduction.weight'), 'vssm_encoder.downsamples.0.reduction.weight');
    assert.strictEqual(rule.rename!('head.weight'), undefined);
    assert.strictEqual(rule.rename!('never.heard.of'), undefined);
  });

  it('every entry of another shape is named, and a stage without a place', () => {
    const wrong: [string, number[]][] = [
      ['layers.0.blocks.0.ln_1.weight', [64]],
      ['layers.0.blocks.0.ln_1.bias', [64]],
      ['layers.7.downsample.norm.bias', [64]],
    ];
    assert.throws(
      () => vmambaTransfer(wrong, { network: 'swin-umamba', inputChannels: 1, parameters: v2.parameters }),
      /ln_1\.weight: \[64\]; expected \[96\] of vssm_encoder[\s\S]*ln_1\.bias[\s\S]*layers\.7\.downsample\.norm\.bias: \[64\]; expected vssm_encoder\.downsamples\.7/,
    );
  });
});
