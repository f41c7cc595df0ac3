// The desk studies by the names of the command line: `npx voxelbook reproduce mednext --scale desk`.
import { VoxelbookError } from '../base/errors.js';
import { desk as kaistBrats21 } from './kaistBrats21/desk.js';
import { desk as mednext } from './mednext/desk.js';
import type { DeskStudy } from './shared/desk.js';
import { desk as stuNet } from './stuNet/desk.js';
import { desk as swinUmamba } from './swinUmamba/desk.js';

const studies: Record<string, DeskStudy> = {
  mednext,
  'kaist-brats21': kaistBrats21,
  'stu-net': stuNet,
  'swin-umamba': swinUmamba,
};

/** The papers that have a desk study. */
export const deskNames = Object.keys(studies);

/**
 * A paper's desk study.
 * @throws VoxelbookError naming the papers that have one
 */
export function desk(name: string): DeskStudy {
  if (Object.hasOwn(studies, name)) return studies[name];
  throw new VoxelbookError('there is no such desk study', {
    code: 'desk-study',
    path: 'name',
    given: JSON.stringify(name),
    expected: deskNames.join(', '),
    fix: 'Choose one of these, or --scale demo.',
  });
}
