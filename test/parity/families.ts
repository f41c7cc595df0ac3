// Every family of golden cases. A folder of the reference that no family claims is reported by main.ts as unknown.
import type { Family } from './case.js';
import { losses } from './losses.js';
import { metrics } from './metrics.js';
import { family as models } from './models.js';
import { family as nnunet } from './nnunet.js';
import { optim } from './optim.js';

export const families: Family[] = [metrics, models, losses, optim, nnunet];
