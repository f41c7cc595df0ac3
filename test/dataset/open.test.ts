import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { VoxelbookError } from '../../src/base/errors.js';
import { casesIn, datasetJsonFaults, labels, loadCase, open, split, splits } from '../../src/dataset/index.js';
import { writePng } from '../../src/volume/index.js';
import { image, label, rawFolder, remove, writeJson } from './folder.js';

describe('opening a data set', () => {
  let folder: string;
  afterEach(() => remove(folder));

  it('finds cases and their files in channel order, sorted', () => {
    folder = rawFolder(12);
    const { name, cases } = open(folder);
    assert.equal(name, 'Dataset007_Small');
    assert.deepEqual(cases.map((c) => c.id).slice(0, 4), ['a0', 'a1', 'a10', 'a11']);
    assert.deepEqual(cases[0], { id: 'a0', images: [image(folder, 0, 0), image(folder, 0, 1)], label: label(folder, 0) });
  });

  it('shows itself: channels, labels, what it is; outside text escaped', () => {
    folder = rawFolder(1, { description: '<b>SIMULATED</b>' });
    const shown = (open(folder) as any)[Symbol.for('Jupyter.display')]();
    assert.match(shown['text/plain'], /Dataset007_Small: 1 training cases/);
    assert.match(shown['text/plain'], /organ, lesion/);
    assert.ok(shown['text/html'].includes('SIMULATED') && !shown['text/html'].includes('<b>'));
  });

  it('listed cases: ids are plain names, and a message shows a variable as it is written, never what it holds', () => {
    folder = rawFolder(1);
    process.env.VB_TEST_SECRET = 'secret-of-the-test';
    process.env.VB_TEST_RAW = folder;
    const json = JSON.parse(fs.readFileSync(path.join(folder, 'dataset.json'), 'utf8'));
    const files = { images: ['imagesTr/a0_0000.nii.gz', '$VB_TEST_RAW/imagesTr/a0_0001.nii.gz'], label: 'labelsTr/a0.nii.gz' };
    try {
      writeJson(folder, {
        ...json,
        dataset: { '../../outside': files, 'a\nb': files, b: { images: ['$VB_TEST_SECRET/x.nii.gz'] } },
      });
      assert.throws(
        () => open(folder),
        (error: VoxelbookError) => {
          assert.deepEqual(
            error.faults.map((f) => [f.path, f.given]),
            [
              ['dataset.json dataset["../../outside"]', 'an id that is no plain name'],
              ['dataset.json dataset["a\\nb"]', 'an id that is no plain name'],
              ['dataset.json dataset["b"].images[0]', '$VB_TEST_SECRET/x.nii.gz, which is not there'],
              ['dataset.json dataset["b"].label', 'missing'],
            ],
          );
          return !error.message.includes('secret-of-the-test');
        },
      );
      writeJson(folder, { ...json, dataset: { a: files } });
      const image1 = path.join(folder, 'imagesTr/a0_0001.nii.gz');
      assert.equal(open(folder).cases[0].images[1], image1);
    } finally {
      delete process.env.VB_TEST_SECRET;
      delete process.env.VB_TEST_RAW;
    }
  });

  it('by name or number below nnUNet_raw', () => {
    folder = rawFolder(1);
    const before = process.env.nnUNet_raw;
    process.env.nnUNet_raw = path.dirname(folder);
    try {
      for (const name of ['Dataset007_Small', '7', '007']) assert.equal(open(name).folder, folder);
    } finally {
      if (before === undefined) delete process.env.nnUNet_raw;
      else process.env.nnUNet_raw = before;
    }
  });

  it('files listed in dataset.json are used, with environment variables', () => {
    folder = rawFolder(2);
    const json = JSON.parse(fs.readFileSync(path.join(folder, 'dataset.json'), 'utf8'));
    process.env.VB_TEST_FOLDER = folder;
    writeJson(folder, {
      ...json,
      dataset: {
        z: { images: ['$VB_TEST_FOLDER/imagesTr/a1_0000.nii.gz', 'imagesTr/a1_0001.nii.gz'], label: 'labelsTr/a1.nii.gz' },
      },
    });
    assert.deepEqual(open(folder).cases, [
      { id: 'z', images: [image(folder, 1, 0), image(folder, 1, 1)], label: label(folder, 1) },
    ]);
    delete process.env.VB_TEST_FOLDER;
  });

  it('the older key modality names the channels', () => {
    folder = rawFolder(1);
    writeJson(folder, { modality: { '0': 'CT' }, labels: { background: 0, x: 1 }, numTraining: 1, file_ending: '.nii.gz' });
    assert.deepEqual(open(folder).json.channel_names, { '0': 'CT' });
  });

  it('names every fault of dataset.json at once', () => {
    folder = rawFolder(1);
    writeJson(folder, {
      channel_names: { '1': 'CT' },
      labels: { background: 1, x: 3, ignore: 2 },
      numTraining: -1,
      file_ending: '.jpg',
    });
    assert.throws(
      () => open(folder),
      (error: any) => {
        assert.deepEqual(
          error.faults.map((f: any) => f.path),
          [
            'dataset.json channel_names',
            'dataset.json labels["background"]',
            'dataset.json labels',
            'dataset.json labels["ignore"]',
            'dataset.json file_ending',
            'dataset.json numTraining',
          ],
        );
        return true;
      },
    );
  });

  it('a folder that is none says where it looked', () => {
    folder = rawFolder(1);
    assert.throws(
      () => open('/nowhere'),
      /neither a folder nor a known name; expected a folder with dataset\.json, a name or number below \$nnUNet_raw, or one of SimGlioma/,
    );
    fs.writeFileSync(path.join(folder, 'dataset.json'), '{"labels": ');
    assert.throws(() => open(folder), /expected JSON/);
  });

  it('a case is read with channels side by side; one picture may supply several', () => {
    folder = rawFolder(1);
    const { image: read, label: truth } = loadCase(open(folder).cases[0]);
    assert.equal(read.channels, 2);
    assert.deepEqual([...read.data.subarray(0, 4)], [1, 2, 32, 33]);
    assert.equal(truth!.data[0], 1);
    const png = path.join(folder, 'p_0000.png');
    writePng(png, { data: new Uint8Array(12), width: 2, height: 2, channels: 3 });
    assert.equal(loadCase(casesIn(folder, '.png')[0]).image.channels, 3);
  });
});

describe('dataset.json', () => {
  const good = { channel_names: { '0': 'CT' }, labels: { background: 0, a: 1 }, numTraining: 1, file_ending: '.nii.gz' };
  it('regions need an order of writing of their length', () => {
    const regions = { background: 0, whole: [1, 2], core: [2] };
    assert.match(datasetJsonFaults({ ...good, labels: regions })[0].expected, /2 labels, one per region/);
    assert.deepEqual(datasetJsonFaults({ ...good, labels: regions, regions_class_order: [1, 2] }), []);
    assert.throws(() => labels({ labels: regions, regions_class_order: [1] }), /1 entries; expected 2 labels/);
  });
  it('anything else than an object is refused in words', () => {
    for (const value of [null, 3, 'x', [], undefined]) assert.equal(datasetJsonFaults(value).length, 1);
  });
});

describe('splits', () => {
  const ids = Array.from({ length: 23 }, (_, i) => `c${i}`);
  it('every case is validated exactly once and never trained in that fold', () => {
    const five = splits(ids);
    assert.deepEqual(five.flatMap((s) => s.val).sort(), [...ids].sort());
    for (const { train, val } of five) assert.deepEqual([...train, ...val].sort(), [...ids].sort());
  });
  it('do not depend on the order the cases come in', () => assert.deepEqual(splits([...ids].reverse()), splits(ids)));
  it('fold all trains and validates on every case', () => assert.deepEqual(split(ids, 'all').train, split(ids, 'all').val));
  it('fewer than five cases are refused', () => {
    assert.throws(
      () => splits(['a', 'b']),
      (e) => e instanceof VoxelbookError && /2 cases; expected at least 5/.test(e.message),
    );
  });
});
