// ACDC: `database/{training,testing}/patient001/patient001_frame01{,_gt}.nii.gz`, two labelled frames a patient.
import path from 'node:path';
import { type Converter, fileOf, names, nifti, rootOf, stem } from './source.js';

export const acdc: Converter = (folder, faults) => {
  const root = rootOf(folder, ['database/training', 'ACDC/database/training', 'training'], faults).replace(/training$/, '');
  const part = (name: string, test: boolean) =>
    names(path.join(root, name), /^patient\d{3}$/).flatMap((patient) =>
      names(path.join(root, name, patient), /^patient\d{3}_frame\d{2}\.nii(\.gz)?$/).map((frame) => ({
        id: stem(frame),
        group: patient,
        images: [path.join(root, name, patient, frame)],
        label: fileOf(path.join(root, name, patient, `${stem(frame)}_gt`), nifti, faults),
        ...(test ? { test } : {}),
      })),
    );
  return [...part('training', false), ...part('testing', true)];
};
