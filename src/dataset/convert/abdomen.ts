// BTCV, AMOS22 (CT), AbdomenMRI (AMOS22's MR), KiTS19: NIfTI folders.
import path from 'node:path';
import { readVolume } from '../../volume/index.js';
import { type Converter, fileOf, names, relabelled, rootOf } from './source.js';

const nifti = ['.nii.gz', '.nii'];
const stem = (name: string) => name.replace(/\.nii(\.gz)?$/, '');

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
            label: table ? () => relabelled(readVolume(label), table) : label,
          };
        }),
    );
  };

/** MedNeXt's 200 CT scans: the training part. */
export const amos22 = amos((n) => n <= 500, ['Tr']);

/** Order of organs of Swin-UMamba's AbdomenMRI; bladder and prostate/uterus are not part of it. */
const abdomenMrLabels = { 6: 1, 2: 2, 1: 3, 10: 4, 8: 5, 9: 6, 11: 7, 12: 8, 4: 9, 5: 10, 7: 11, 13: 12, 3: 13 };

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
