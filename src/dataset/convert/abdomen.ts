// Abdominal sets that come as NIfTI folders: BTCV, AMOS22 (CT, MR, both), KiTS19, KiTS23, LiTS, FLARE22.
import fs from 'node:fs';
import path from 'node:path';
import { type Converter, fileOf, names, nifti, refuseTwice, relabelled, rootOf, type SourceCase, stem } from './source.js';

/** `RawData/Training/{img/img0001.nii.gz, label/label0001.nii.gz}`, `RawData/Testing/img/img0061.nii.gz`. */
export const btcv: Converter = (folder, faults) => {
  const root = rootOf(folder, ['RawData', 'Abdomen/RawData', '.'], faults);
  const cases = (part: string, test: boolean) =>
    names(path.join(root, part, 'img'), /^img\d+\.nii(\.gz)?$/).map((name) => ({
      id: stem(name),
      images: [path.join(root, part, 'img', name)],
      ...(test ? { test } : { label: fileOf(path.join(root, part, 'label', stem(name).replace('img', 'label')), nifti, faults) }),
    }));
  return [...cases('Training', false), ...cases('Testing', true)];
};

/** `amos22/{imagesTr,labelsTr,imagesVa,labelsVa}/amos_0001.nii.gz`: numbers up to 500 are CT, above MR. */
const amos =
  (isWanted: (number: number) => boolean, parts: readonly string[], table?: Record<number, number>): Converter =>
  (folder, faults) => {
    const root = rootOf(folder, ['imagesTr', 'amos22/imagesTr', 'amos/imagesTr'], faults).replace(/imagesTr$/, '');
    return parts.flatMap((part) =>
      names(path.join(root, `images${part}`), /^amos_\d+\.nii(\.gz)?$/)
        .filter((name) => isWanted(Number(/\d+/.exec(name)![0])))
        .map((name) => {
          const label = fileOf(path.join(root, `labels${part}`, stem(name)), nifti, faults);
          return {
            id: stem(name),
            images: [path.join(root, `images${part}`, name)],
            label: table ? () => relabelled(label, table) : label,
          };
        }),
    );
  };

/** MedNeXt's 200 CT scans: the training part. */
export const amos22 = amos((n) => n <= 500, ['Tr']);

/** CT and MR together: the challenge's training part. */
export const amos22CtMr = amos(() => true, ['Tr']);

/** Order of organs of Swin-UMamba's AbdomenMRI; bladder and prostate/uterus are background there. */
const abdomenMrLabels = { 6: 1, 2: 2, 1: 3, 10: 4, 8: 5, 9: 6, 11: 7, 12: 8, 4: 9, 5: 10, 7: 11, 13: 12, 3: 13, 14: 0, 15: 0 };

/** The 60 labelled MR scans: training and validation part. */
export const abdomenMr = amos((n) => n > 500, ['Tr', 'Va'], abdomenMrLabels);

/** `data/case_00000/{imaging.nii.gz, segmentation.nii.gz}`; cases without a segmentation are the test part. */
export const kits19: Converter = (folder, faults) => {
  const root = rootOf(folder, ['data', 'kits19/data', '.'], faults);
  return names(root, /^case_\d{5}$/).map((id) => {
    const image = fileOf(path.join(root, id, 'imaging'), nifti, faults);
    const test = Number(id.slice(5)) >= 210;
    return test
      ? { id, images: [image], test }
      : { id, images: [image], label: fileOf(path.join(root, id, 'segmentation'), nifti, faults) };
  });
};

/** `dataset/case_00000/{imaging.nii.gz, segmentation.nii.gz}`: all have labels. */
export const kits23: Converter = (folder, faults) => {
  const root = rootOf(folder, ['dataset', 'kits23/dataset', '.'], faults);
  return names(root, /^case_\d{5}$/).map((id) => ({
    id,
    images: [fileOf(path.join(root, id, 'imaging'), nifti, faults)],
    label: fileOf(path.join(root, id, 'segmentation'), nifti, faults),
  }));
};

/** `volume-0.nii`, `segmentation-0.nii`, in one folder or in `Training Batch 1` and `2`; `test-volume-0.nii` in the same or a folder below. */
export const lits: Converter = (folder, faults) => {
  const below = names(folder, /^[^.]/).filter((name) => fs.statSync(path.join(folder, name)).isDirectory());
  const places = ['.', ...below].map((part) => path.join(folder, part));
  const numbered = (name: string) => Number(/\d+/.exec(name)![0]);
  const all = (pattern: RegExp, make: (place: string, name: string) => SourceCase) =>
    places
      .flatMap((place) => names(place, pattern).map((name) => [place, name] as const))
      .sort(([, a], [, b]) => numbered(a) - numbered(b))
      .map(([place, name]) => make(place, name));
  const id = (name: string) => `lits_${String(numbered(name)).padStart(3, '0')}`;
  const segmentation = (name: string) => stem(name).replace('volume', 'segmentation');
  const labelOf = (place: string, name: string) => {
    const other = places.find((p) => nifti.some((ending) => fs.existsSync(path.join(p, segmentation(name) + ending))));
    return fileOf(path.join(other ?? place, segmentation(name)), nifti, faults);
  };
  const cases = [
    ...all(/^volume-\d+\.nii(\.gz)?$/, (place, name) => ({
      id: id(name),
      images: [path.join(place, name)],
      label: labelOf(place, name),
    })),
    ...all(/^test-volume-\d+\.nii(\.gz)?$/, (place, name) => ({
      id: `${id(name)}_test`,
      images: [path.join(place, name)],
      test: true,
    })),
  ];
  refuseTwice(cases, folder, faults);
  return cases;
};

/** `FLARE22Train/{images/FLARE22_Tr_0001_0000.nii.gz, labels/FLARE22_Tr_0001.nii.gz}`: the 50 labelled cases. */
export const flare22: Converter = (folder, faults) => {
  const root = rootOf(folder, ['images', 'FLARE22Train/images', 'FLARE22Train/FLARE22Train/images'], faults).replace(
    /images$/,
    '',
  );
  return names(path.join(root, 'images'), /^FLARE22_Tr_\d+_0000\.nii(\.gz)?$/).map((name) => {
    const id = stem(name).slice(0, -'_0000'.length);
    return { id, images: [path.join(root, 'images', name)], label: fileOf(path.join(root, 'labels', id), nifti, faults) };
  });
};
