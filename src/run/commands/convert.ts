// `voxelbook convert`: a public data set as it was downloaded, or a folder of DICOM series, into the nnU-Net raw layout.
import { type Command, integer, interrupt, need, print, usage, type Values, workProgress } from './command.js';

export const convert: Command = {
  about:
    'bring a public data set as it was downloaded, or DICOM, a MONAI datalist or BIDS, into the nnU-Net raw layout (nnUNetv2_convert_MSD_dataset, and more)',
  takes: '<set> <folder>',
  options: {
    root: { type: 'string' },
    workers: { type: 'string' },
    as: { type: 'string' },
    series: { type: 'string', multiple: true },
    channels: { type: 'string' },
    labels: { type: 'string' },
    mask: { type: 'string' },
    pipeline: { type: 'string' },
  },
  help: {
    root: 'where DatasetXXX_… goes (default: nnUNet_raw, else the own data folder)',
    workers: 'threads (default: one per core)',
    as: 'for dicom, monai, bids: name of the data set (default: Dataset500_Dicom, …_Monai, …_Bids)',
    series: 'for dicom: UID of a series to take; once for each',
    channels: 'for monai, bids: names of the channels, with commas; of BIDS the suffixes (T1w,FLAIR)',
    labels: 'for monai, bids: names of the labels from 1, with commas',
    mask: 'for bids: end of the names of the masks (default: dseg)',
    pipeline: 'for bids: folder below derivatives',
  },
  example: 'npx voxelbook convert MSD Task04_Hippocampus',
  async work(positionals, values) {
    const [name, source] = need(positionals, 'set', 'folder');
    const { convert: work, convertDicom, open } = await import('../../dataset/index.js');
    const signal = interrupt();
    const workers = values.workers === undefined ? undefined : integer(values.workers, 'workers', 1, 1);
    const options = { root: values.root as string | undefined, workers, signal, onProgress: workProgress };
    if (name.toLowerCase() === 'dicom') {
      const { as, series } = values as { as?: string; series?: string[] };
      const { folder, training, test, left } = await convertDicom(source, { ...options, as, series });
      print(`${training.length} cases with labels, ${test.length} without, in ${folder}`);
      if (left.length > 0) print(`not taken: ${left.join(', ')}`);
      print(`next: npx voxelbook ${training.length > 0 ? `check ${folder}` : `predict ${folder}/imagesTs out --run <run>`}`);
      return;
    }
    const folder = (await listed(name.toLowerCase(), source, values)) ?? (await work(name, source, options));
    const made = open(folder);
    print(`${made.cases.length} training and ${made.testCases.length} test cases in ${folder}`);
    print(`next: npx voxelbook check ${values.root === undefined ? made.name : folder}`);
  },
};

/** Data sets that name files where they lie. */
async function listed(kind: string, source: string, values: Values): Promise<string | undefined> {
  if (kind !== 'monai' && kind !== 'bids') return undefined;
  const { listBids, listMonai } = await import('../../dataset/index.js');
  const names = (value: unknown) =>
    value === undefined
      ? undefined
      : String(value)
          .split(',')
          .map((name) => name.trim());
  const { root, mask, pipeline } = values as Record<string, string | undefined>;
  const [channels, labels] = [names(values.channels), names(values.labels)];
  if (kind === 'monai') return listMonai(source, { as: String(values.as ?? 'Dataset500_Monai'), root, channels, labels });
  if (!channels) throw usage('no --channels', '--channels T1w,FLAIR');
  return listBids(source, { as: String(values.as ?? 'Dataset500_Bids'), root, channels, labels, mask, pipeline });
}
