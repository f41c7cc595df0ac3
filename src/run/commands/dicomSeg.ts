// `voxelbook dicom-seg`: predicted labels back as DICOM segmentations of their series.
import { type Command, interrupt, need, print, workProgress } from './command.js';

export const dicomSeg: Command = {
  about: 'write predicted labels as DICOM segmentations that refer to their series',
  takes: '<labels> <series> <out>',
  options: { names: { type: 'string' } },
  help: { names: 'a dataset.json whose labels name the segments (default: that beside the labels)' },
  example: 'npx voxelbook dicom-seg predictions study segmentations --names nnUNet_raw/Dataset500_Dicom/dataset.json',
  async work(positionals, values) {
    const [labels, source, out] = need(positionals, 'labels', 'series', 'out');
    const { dicomSegOf } = await import('../../dataset/index.js');
    const names = values.names as string | undefined;
    const files = await dicomSegOf(labels, source, out, { names, signal: interrupt(), onProgress: workProgress });
    print(files.join('\n'));
    print('these files name patient and study, as the series does');
  },
};
