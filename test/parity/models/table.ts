// Every architecture of the models family, by its folder. A folder that is not listed here fails as unknown.
import type { Arch } from './arch.js';
import { arch as coTr } from './coTr.js';
import { arch as kaistUnet } from './kaistUnet.js';
import { arch as mamba } from './mamba.js';
import { mednext } from './mednext.js';
import { arch as nnFormer } from './nnFormer.js';
import { plain, residual } from './nnunet.js';
import { arch as segResNet } from './segResNet.js';
import { arch as selectiveScan } from './selectiveScan.js';
import { arch as stuNet } from './stuNet.js';
import { arch as swinUmamba } from './swinUmamba.js';
import { arch as swinUmambaD } from './swinUmambaD.js';
import { arch as swinUnetr } from './swinUnetr.js';
import { arch as transBts } from './transBts.js';
import { arch as transUnet } from './transUnet.js';
import { bot, enc } from './umamba.js';
import { arch as unetr } from './unetr.js';
import { arch as uxNet } from './uxNet.js';

export const archs: Record<string, Arch> = {
  mednext,
  'kaist-unet': kaistUnet,
  'nnunet-plain': plain,
  'nnunet-resenc': residual,
  segresnet: segResNet,
  stunet: stuNet,
  'ux-net': uxNet,
  cotr: coTr,
  mamba,
  nnformer: nnFormer,
  'selective-scan': selectiveScan,
  'swin-umamba': swinUmamba,
  'swin-umamba-d': swinUmambaD,
  'swin-unetr': swinUnetr,
  transbts: transBts,
  transunet: transUnet,
  'umamba-bot': bot,
  'umamba-enc': enc,
  unetr,
};
