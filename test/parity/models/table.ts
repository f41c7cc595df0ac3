// Every architecture of the models family, by its folder. A folder that is not listed here fails as unknown.
import type { Arch } from './arch.js';
import { mednext } from './mednext.js';
import { arch as selectiveScan } from './selectiveScan.js';
import { arch as swinUmamba } from './swinUmamba.js';
import { arch as swinUmambaD } from './swinUmambaD.js';

export const archs: Record<string, Arch> = {
  mednext,
  'selective-scan': selectiveScan,
  'swin-umamba': swinUmamba,
  'swin-umamba-d': swinUmambaD,
};
