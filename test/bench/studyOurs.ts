// Our side of study.ts, in a process of its own on the built library: `node studyOurs.ts STEP <settings.json>` prints one JSON line.
import fs from 'node:fs';
import path from 'node:path';
import type * as Library from '../../src/index.js';
import type { Settings, Trained } from './study.js';

const vb: typeof Library = await import(new URL('../../dist/index.js', import.meta.url).href);
const now = () => (performance.timeOrigin + performance.now()) / 1000;

let begin: number | undefined;
const ends: number[] = [];
const losses: number[] = [];
vb.extend({
  hooks: [
    {
      name: 'stopwatch',
      settings: vb.z.object({}),
      onStepStart() {
        begin ??= now();
      },
      onStepEnd({ loss }) {
        ends.push(now());
        losses.push(loss!);
      },
    },
  ],
});

const steps = {
  /** The preprocessed set; its plan also for the peer, whose own preprocessing follows it. */
  async prepare({ experiment, fold, peer }: Settings) {
    const prepared = await vb.train.prepare(experiment);
    const { folder } = prepared.dataset;
    const own = path.join(peer, path.basename(folder));
    fs.mkdirSync(own, { recursive: true });
    fs.writeFileSync(path.join(own, 'nnUNetPlans.json'), JSON.stringify(prepared.plan));
    fs.writeFileSync(path.join(own, 'dataset_fingerprint.json'), JSON.stringify(prepared.fingerprint));
    fs.copyFileSync(path.join(folder, 'dataset.json'), path.join(own, 'dataset.json'));
    return { raw: path.dirname(folder), folder: path.basename(folder), ids: prepared.split(fold).train };
  },
  async train({ experiment, fold, run }: Settings): Promise<Omit<Trained, 'peakBytes'>> {
    const { prepared, forecast } = await vb.train.run(experiment, fold, 0, run);
    const { batch_size, patch_size } = prepared.configuration;
    const lines = vb.run.readProgress(run);
    return {
      ...{ begin: begin!, ends, losses, parameters: forecast.parameters },
      batch: [batch_size, Object.keys(prepared.dataset.json.channel_names).length, ...patch_size],
      outputs: forecast.outputShapes,
      waitingShare: lines.at(-1)!.waitingShare,
      version: `Node ${process.version}`,
    };
  },
  /** The study of the quickstart notebook, set and fingerprint at hand. */
  async quickstart({ quickstart }: Settings): Promise<Omit<Trained, 'peakBytes'>> {
    const before = now();
    const { failures } = await vb.run.study(quickstart!, { atOnce: 2, display: null });
    for (const { error } of failures) throw error;
    return { begin: before, ends: [now()], version: `Node ${process.version}` };
  },
};

const [step, file] = process.argv.slice(2) as [keyof typeof steps, string];
console.log(JSON.stringify(await steps[step](JSON.parse(fs.readFileSync(file, 'utf8')))));
// A study's children have ended; nothing else is waited for.
process.exit(0);
