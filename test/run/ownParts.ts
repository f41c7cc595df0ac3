// A person's own module in a folder outside the project, for the tests: a network, a loss, a transform, a metric and a hook, and a file it imports.
import fs from 'node:fs';
import path from 'node:path';

const loss = `import { tf, type train } from 'voxelbook';

/** Tversky loss over labels. */
export function tversky(logits: tf.Tensor, target: tf.Tensor, settings: { beta: number }, labels: train.LossLabels): tf.Scalar {
  if (labels.regions) throw new Error('labels only');
  return tf.tidy(() => {
    const p = tf.softmax(logits);
    const y = tf.oneHot(tf.cast(target, 'int32') as tf.Tensor1D, logits.shape.at(-1)!);
    const axes = [0, 1, 2, 3];
    const tp = tf.sum(tf.mul(p, y), axes);
    const missed = tf.sum(tf.mul(tf.sub(1, p), y), axes);
    const wrong = tf.sum(tf.mul(p, tf.sub(1, y)), axes);
    const all = tf.add(tp, tf.add(tf.mul(wrong, 1 - settings.beta), tf.mul(missed, settings.beta)));
    return tf.sub(1, tf.mean(tf.div(tp, tf.add(all, 1e-5)))) as tf.Scalar;
  });
}
`;

const parts = `import fs from 'node:fs';
import { extend, model, tf, z } from 'voxelbook';
import { tversky } from './loss.ts';

declare module 'voxelbook/model' {
  interface Networks {
    tiny: TinySpec;
  }
}

interface TinySpec {
  network: 'tiny';
  width?: number;
  inputChannels?: number;
  classes?: number;
}

extend({
  networks: [
    {
      name: 'tiny',
      settings: z.object({ width: z.number().int().min(1).max(64).optional() }),
      build({ inputChannels, classes, width = 2 }: TinySpec): model.Network {
        const d = new model.Declaration();
        const first = model.layers.conv(d, 'first', inputChannels!, width, [3, 3, 3], { padding: 1 });
        const head = model.layers.conv(d, 'head', width, classes!, [1, 1, 1]);
        return { parameters: d.parameters, divisibleBy: [1, 1, 1], forward: (c, x) => [head(c, tf.relu(first(c, x)))] };
      },
    },
  ],
  losses: [{ name: 'own-tversky', settings: z.object({ beta: z.number().min(0).max(1).meta({ default: 0.7 }) }), loss: tversky }],
  transforms: [
    {
      name: 'invert',
      settings: z.object({ below: z.number() }),
      draw: (random, { below }) => (random.uniform(0, 1) < below ? { transform: 'invert' } : null),
      apply(_drawn, planes) {
        for (const plane of planes.channels) for (let i = 0; i < plane.length; i++) plane[i] = -plane[i];
        return planes;
      },
    },
  ],
  metrics: [{ name: 'filled', score: ({ reference }) => reference.reduce((a, b) => a + b, 0) / reference.length }],
  hooks: [
    {
      name: 'halve',
      onEpochStart: (state) => { state.learningRate /= 2; },
      onStepEnd: (state) => fs.appendFileSync(state.folder + '/steps.txt', \`\${state.step} \`),
    },
  ],
});
`;

/** Writes the module into a folder. @returns its file */
export function writeOwnParts(folder: string, text = parts): string {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'loss.ts'), loss);
  fs.writeFileSync(path.join(folder, 'my-parts.ts'), text);
  return path.join(folder, 'my-parts.ts');
}
