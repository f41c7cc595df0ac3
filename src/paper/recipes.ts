// The five training recipes by name. A paper's experiment names its own and changes what its text says.
import type { PredictionSettings } from '../train/experiment.js';
import { prediction as kaist } from './kaistBrats21/recipe.js';
import { prediction as mednext } from './mednext/recipe.js';
import { nnunetv2Prediction } from './shared/recipe.js';
import { prediction as stuNet } from './stuNet/recipe.js';
import { prediction as swinUmamba } from './swinUmamba/recipe.js';

export { recipe as kaist } from './kaistBrats21/recipe.js';
export { recipe as mednext } from './mednext/recipe.js';
export { briefMomentum, demo, nnunetv2 } from './shared/recipe.js';
export { finetuning as stuNetFinetuning, pretraining as stuNetPretraining } from './stuNet/recipe.js';
export { recipe as swinUmamba } from './swinUmamba/recipe.js';

/** What each paper's code averages over mirrors, tiles and folds. */
export const predictions = { nnunetv2: nnunetv2Prediction, mednext, kaist, stuNet, swinUmamba } satisfies Record<
  string,
  PredictionSettings
>;
