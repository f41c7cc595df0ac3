// A bundle as a model that predicts: its graphs run in ONNX Runtime, everything around them is this library's own prediction.
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import type { Forward, PredictionModel } from '../predict/index.js';
import { tf } from '../tensor/tf.js';
import { datasetOf, planOf, readBundle, settingsOf } from './bundle.js';
import { loadRuntime, type Runtime, type RuntimeName, type Session, sessionOptions } from './runtime.js';

/**
 * Loads a bundle for `predict.run` and `predict.predictCase`.
 * @returns the model, and `dispose` for its sessions
 * @throws VoxelbookError for a damaged bundle, one of a newer form, and where no ONNX Runtime is installed
 */
export async function loadBundle(
  folder: string,
  { runtime: name }: { runtime?: RuntimeName } = {},
): Promise<{ model: PredictionModel; dispose(): void }> {
  const bundle = readBundle(folder);
  const runtime = await loadRuntime(name);
  const sessions: Session[] = [];
  const dispose = () => {
    for (const session of sessions) void session.release();
  };
  try {
    for (const { file } of bundle.graphs) sessions.push(await open(runtime, path.join(folder, file)));
  } catch (error) {
    dispose();
    throw error;
  }
  return {
    model: {
      forwards: sessions.map((session) => forwardOf(runtime, session)),
      plan: planOf(bundle),
      configuration: bundle.configuration,
      dataset: datasetOf(bundle),
      settings: settingsOf(bundle),
      identity: bundle.graphs.map(({ sha256 }) => sha256).join(),
      batchTiles: 1,
    },
    dispose,
  };
}

async function open(runtime: Runtime, file: string): Promise<Session> {
  try {
    return await runtime.InferenceSession.create(file, sessionOptions());
  } catch (error) {
    throw new VoxelbookError('this graph cannot be run', {
      code: 'onnx-graph',
      path: file,
      given: (error as Error).message.split('\n')[0],
      expected: 'a graph that ONNX Runtime takes',
      fix: 'Update ONNX Runtime, or export the model again.',
    });
  }
}

/** A graph as a network: the graph has its channels first, and takes one patch. */
function forwardOf(runtime: Runtime, session: Session): Forward {
  return async (x) => {
    const axes = Array.from({ length: x.rank - 2 }, (_, i) => i + 1);
    const image = tf.transpose(x, [0, x.rank - 1, ...axes]);
    const given = new runtime.Tensor('float32', image.dataSync<'float32'>(), image.shape);
    image.dispose();
    const { logits } = await session.run({ image: given });
    return tf.tidy(() =>
      tf.transpose(tf.tensor(logits.data as Float32Array, [...logits.dims], 'float32'), [0, ...axes.map((a) => a + 1), 1]),
    );
  };
}
