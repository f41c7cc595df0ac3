// Which weights of a trained run predict.
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../base/errors.js';
import type { PredictionSettings } from './experiment.js';

/** Which weights of a run are meant: the last, or those of the best epoch. */
export type Checkpoints = NonNullable<PredictionSettings['checkpoint']>;

/**
 * The file of a run's weights.
 * @throws VoxelbookError when the run never had them
 */
export function weightsFile(folder: string, which: Checkpoints = 'final'): string {
  const file = path.join(folder, 'checkpoints', `${which}.safetensors`);
  if (fs.existsSync(file)) return file;
  throw new VoxelbookError(`this run has no ${which} weights`, {
    code: 'run-untrained',
    path: file,
    given: 'no such file',
    expected: which === 'final' ? 'a run whose training is finished' : 'a run in which a validation patch held foreground',
    fix: which === 'final' ? 'Finish it: npx voxelbook run <experiment.json>.' : 'Take the final weights.',
  });
}
