// What page and worker say to each other.
import type { Bundle } from '../bundle.js';

/** To the worker: segment these files. */
export interface Order {
  bundle: Bundle;
  /** Bytes of each graph, and of weights beside it. */
  graphs: { model: Uint8Array; data?: Uint8Array }[];
  /** ONNX Runtime's script and its WebAssembly. */
  runtime: { script: string; binary: Uint8Array };
  /** One for each channel, in order; or one with all channels. */
  files: File[];
  /** What WebAssembly may take. */
  mostBytes: number;
  threads: number;
}

/** From the worker. */
export type Report =
  | { kind: 'progress'; what: string; done: number; total: number; etaSeconds: number | null }
  | { kind: 'done'; file: Blob; counts: [label: number, voxels: number][]; voxelMm3: number; wasmBytes: number }
  | { kind: 'failed'; message: string };
