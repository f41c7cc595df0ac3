// A data set as nnU-Net v2's `dataset.json` says it, plus where its files are (nnU-Net v2 raw layout).

/** nnU-Net v2's `dataset.json`, key for key. */
export interface DatasetJson {
  channel_names: Record<string, string>;
  /** Name → label, or the list of labels a region is made of. `background` is 0; `ignore` is the highest. */
  labels: Record<string, number | number[]>;
  /** Names of `labels` in the file's order, where a JavaScript object cannot keep it (names that are whole numbers). */
  label_order?: string[];
  regions_class_order?: number[];
  numTraining: number;
  file_ending: string;
  overwrite_image_reader_writer?: string;
  name?: string;
  description?: string;
  licence?: string;
  reference?: string;
  release?: string;
  [key: string]: unknown;
}

/** Files of one case. `images` in channel order; `label` is absent for test cases. */
export interface CaseFiles {
  id: string;
  images: string[];
  label?: string;
  /** `reorient`: turned to RAS when read, as nnU-Net's NibabelIOWithReorient does; absent: as stored. */
  reader?: 'reorient';
}

/** An opened data set: its `dataset.json`, and the files of every case. */
export interface Dataset {
  /** Folder name, `Dataset903_SimGlioma`. */
  name: string;
  folder: string;
  json: DatasetJson;
  /** Training cases, sorted by id. */
  cases: CaseFiles[];
  /** Test cases (`imagesTs`), sorted by id; `label` where `labelsTs` has one. */
  testCases: CaseFiles[];
}
