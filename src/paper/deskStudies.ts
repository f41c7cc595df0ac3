// The desk studies by the names of the command line: `npx voxelbook reproduce mednext --scale desk`.
import { VoxelbookError } from '../base/errors.js';
import { desk as kaistBrats21 } from './kaistBrats21/desk.js';
import { deskAttention } from './kaistBrats21/deskAttention.js';
import { desk as mednext } from './mednext/desk.js';
import { deskResampling } from './mednext/deskResampling.js';
import type { DeskStudy } from './shared/desk.js';
import { desk as stuNet } from './stuNet/desk.js';
import { desk as swinUmamba } from './swinUmamba/desk.js';

const studies: Record<string, DeskStudy> = {
  mednext,
  'mednext-resampling': deskResampling,
  'kaist-brats21': kaistBrats21,
  'kaist-brats21-attention': deskAttention,
  'stu-net': stuNet,
  'swin-umamba': swinUmamba,
};

/** The desk studies there are: a paper's first by the paper's name, further ones by a longer. */
export const deskNames = Object.keys(studies);

/**
 * A desk study by its name.
 * @throws VoxelbookError naming those there are
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
