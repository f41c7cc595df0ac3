// A bundle as a model that predicts: its graphs run in ONNX Runtime, everything around them is this library's own prediction.
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import type { ForeignModel } from '../predict/index.js';
import { modelOf, readBundle } from './bundle.js';
import { patchNetwork } from './patchNetwork.js';
import { loadRuntime, type Runtime, type RuntimeName, type Session, sessionOptions } from './runtime.js';

/**
 * Loads a bundle for `predict.run` and `predict.predictCase`.
 * @returns the model, and `dispose` for its sessions
 * @throws VoxelbookError for a damaged bundle, one of a newer form, and where no ONNX Runtime is installed
 */
export async function loadBundle(
  folder: string,
  { runtime: name }: { runtime?: RuntimeName } = {},
): Promise<{ model: ForeignModel; dispose(): void }> {
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
      ...modelOf(
        bundle,
        sessions.map((session) => networkOf(runtime, session)),
      ),
      identity: bundle.graphs.map(({ sha256 }) => sha256).join(),
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

/** A graph's session as tiles see a network. */
const networkOf = (runtime: Runtime, session: Session) =>
  patchNetwork(async (image, shape) => (await session.run({ image: new runtime.Tensor('float32', image, shape) })).logits);
