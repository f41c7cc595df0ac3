// Every architecture of the models family, by its folder. A folder that is not listed here fails as unknown.
import type { Arch } from './arch.js';
import { mednext } from './mednext.js';

export const archs: Record<string, Arch> = {
  mednext,
};
