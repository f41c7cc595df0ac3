// autoPET 2022: `FDG-PET-CT-Lesions/PETCT_0011f3deaf/03-23-2003-…/{CTres,SUV,SEG}.nii.gz`, several studies of some patients.
import path from 'node:path';
import { type Converter, fileOf, names, nifti, rootOf } from './source.js';

export const autoPet22: Converter = (folder, faults) => {
  const root = rootOf(folder, ['FDG-PET-CT-Lesions', 'NIFTI/FDG-PET-CT-Lesions', '.'], faults);
  return names(root, /^PETCT_/).flatMap((patient) =>
    names(path.join(root, patient), /^[^.]/).map((study) => {
      const file = (kind: string) => fileOf(path.join(root, patient, study, kind), nifti, faults);
      return { id: `${patient}_${study}`, group: patient, images: [file('CTres'), file('SUV')], label: file('SEG') };
    }),
  );
};
