// BraTS 2021: `BraTS2021_00000/BraTS2021_00000_{t1,t1ce,t2,flair,seg}.nii.gz`.
import path from 'node:path';
import { type Converter, fileOf, names, nifti, relabelled, rootOf } from './source.js';

/** BraTS 1 necrosis, 2 edema, 4 enhancing; nnU-Net's conversion: 1 edema, 2 necrosis, 3 enhancing, so that regions nest by number. */
const table = { 1: 2, 2: 1, 4: 3 };

export const brats21: Converter = (folder, faults) => {
  const root = rootOf(folder, ['BraTS2021_Training_Data', 'RSNA_ASNR_MICCAI_BraTS2021_TrainingData_16July2021', '.'], faults);
  return names(root, /^BraTS2021_\d{5}$/).map((id) => {
    const file = (kind: string) => fileOf(path.join(root, id, `${id}_${kind}`), nifti, faults);
    const seg = file('seg');
    return { id, images: ['t1', 't1ce', 't2', 'flair'].map(file), label: () => relabelled(seg, table) };
  });
};
