// ONNX Runtime, whichever is installed: onnxruntime-node (native), else onnxruntime-web (WebAssembly, slower). Neither comes with this
// library; they share one interface.
import { VoxelbookError } from '../base/errors.js';
import { threads } from '../base/threads.js';

/** The part of onnxruntime-common that is used here. */
export interface Runtime {
  InferenceSession: { create(file: string, options: Record<string, unknown>): Promise<Session> };
  Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => OnnxTensor;
  env: { wasm: { numThreads?: number } };
}
export interface Session {
  run(inputs: Record<string, OnnxTensor>): Promise<Record<string, OnnxTensor>>;
  release(): Promise<void>;
}
interface OnnxTensor {
  readonly data: ArrayLike<number>;
  readonly dims: readonly number[];
}

export const runtimeNames = ['onnxruntime-node', 'onnxruntime-web'] as const;
export type RuntimeName = (typeof runtimeNames)[number];

/**
 * @param name only this one; default the first that is installed
 * @throws VoxelbookError that says how to install one
 */
export async function loadRuntime(name?: RuntimeName): Promise<Runtime> {
  const failures: string[] = [];
  for (const one of name ? [name] : runtimeNames) {
    try {
      const found = (await import(one)) as Runtime & { default?: Runtime };
      const runtime = found.default ?? found;
      // Threads of WebAssembly would keep a program from ending.
      if (one === 'onnxruntime-web') runtime.env.wasm.numThreads = 1;
      return runtime;
    } catch (error) {
      failures.push(`${one}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  throw new VoxelbookError('a bundle needs ONNX Runtime', {
    code: 'no-onnxruntime',
    path: name ?? 'onnxruntime-node',
    given: failures.join('; '),
    expected: 'onnxruntime-node',
    fix: 'Install it once: npm install --no-save --ignore-scripts onnxruntime-node',
  });
}

/** What a session is made with: as many threads as all arithmetic here. */
export const sessionOptions = () => ({ intraOpNumThreads: threads(), logSeverityLevel: 3 });
