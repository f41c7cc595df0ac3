// DICOM series and segmentations: pydicom and highdicom write them, SimpleITK (GDCM) says what is in them (test/dataset/dicom/make_dicom.py).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import zlib from 'node:zlib';
import { VoxelbookError } from '../../src/base/errors.js';
import { Random } from '../../src/base/random.js';
import { convertDicom, dicomSegOf, loadCase, open } from '../../src/dataset/index.js';
import { dcmjs, type Elements, tags } from '../../src/volume/dicom/elements.js';
import {
  orderDicomSeries,
  readDicomHeader,
  readDicomSeg,
  readDicomSeries,
  readVolume,
  type Volume,
  writeDicomSeg,
  writeVolume,
} from '../../src/volume/index.js';

const golden = fileURLToPath(new URL('./dicom/', import.meta.url));
const expected = JSON.parse(fs.readFileSync(path.join(golden, 'expected.json'), 'utf8'));
const sha = (data: ArrayBufferView) =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
const filesOf = (folder: string) =>
  fs
    .readdirSync(folder)
    .sort()
    .map((f) => path.join(folder, f));

async function seriesOf(folder: string) {
  const headers = await Promise.all(filesOf(folder).map(readDicomHeader));
  return orderDicomSeries(headers.map((h) => (h.kind === 'image' ? h : assert.fail(`${h.kind} ${h.file}`))));
}

function assertNear(found: readonly number[], wanted: readonly number[], what: string): void {
  for (const [i, v] of wanted.entries())
    assert.ok(Math.abs(found[i] - v) < 1e-6 * Math.max(1, Math.abs(v)), `${what}: ${found}, not ${wanted}`);
}

function assertGolden(volume: Volume, name: string): void {
  const wanted = expected[name];
  assert.deepEqual(volume.shape, wanted.shape);
  assertNear([...volume.spacingMm].reverse(), wanted.spacing, 'spacing');
  const flip = [-1, -1, 1];
  assertNear(
    volume.originMm,
    wanted.origin.map((v: number, i: number) => v * flip[i]),
    'origin',
  );
  assertNear(
    volume.direction,
    wanted.direction.map((v: number, i: number) => v * flip[Math.floor(i / 3)]),
    'direction',
  );
  assert.equal(sha(Float32Array.from(volume.data as ArrayLike<number>)), wanted.sha256);
}

describe('DICOM', () => {
  let root: string;
  const at = (...names: string[]) => path.join(root, ...names);
  const raw = () => ({ root: at('raw'), workers: 1 });

  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-dicom-'));
  });
  afterEach(() => fs.rmSync(root, { recursive: true }));

  /** A golden series, each file changed; the first argument is its place in the order of positions. */
  async function altered(
    name: string,
    change: (e: Elements, k: number, meta: Elements) => void,
    to = at('in', name),
  ): Promise<string> {
    const { DicomMessage, DicomDict } = (await dcmjs()).data;
    fs.mkdirSync(to, { recursive: true });
    const series = await seriesOf(path.join(golden, name));
    series.planes.forEach((plane, k) => {
      const { meta, dict } = DicomMessage.readFile(new Uint8Array(fs.readFileSync(plane.file)).buffer as ArrayBuffer, {});
      change(dict, k, meta);
      const out = new DicomDict(meta);
      out.dict = dict;
      fs.writeFileSync(path.join(to, path.basename(plane.file)), new Uint8Array(out.write()));
    });
    return to;
  }
  const set = (e: Elements, name: keyof typeof tags, ...value: unknown[]) => {
    const { vr } = e[tags[name]] ?? {};
    e[tags[name]] = { vr: vr ?? 'DS', Value: value };
  };

  for (const name of ['oblique', 'stored12', 'pet'])
    it(`the series ${name}: every voxel and the geometry as GDCM reads it`, async () =>
      assertGolden(await readDicomSeries(await seriesOf(path.join(golden, name))), name));

  it('values are whole numbers where the series says so, float32 where slices have scales of their own', async () => {
    const type = async (name: string) => (await readDicomSeries(await seriesOf(path.join(golden, name)))).data.constructor.name;
    assert.deepEqual(
      [await type('stored12'), await type('pet'), await type('oblique')],
      ['Int16Array', 'Float32Array', 'Int32Array'],
    );
  });

  it('a segmentation by highdicom, voxel by voxel', async () => {
    const seg = await readDicomSeg([path.join(golden, 'seg/seg.dcm')], await seriesOf(path.join(golden, 'oblique')), (_, n) => n);
    assert.equal(sha(Uint8Array.from(seg.data)), expected.seg);
  });

  it('contours (RTSTRUCT) with a hole, as matplotlib fills them; as labels of a case', async () => {
    const file = path.join(golden, 'rtstruct/rs.dcm');
    const map = await readDicomSeg([file], await seriesOf(path.join(golden, 'oblique')), (_, n) => (n === 4 ? 2 : 1));
    assert.equal(sha(Uint8Array.from(map.data)), expected.rtstruct);
    fs.cpSync(path.join(golden, 'oblique'), at('in'), { recursive: true });
    fs.copyFileSync(file, at('in/rs.dcm'));
    const { folder } = await convertDicom(at('in'), raw());
    // Numbers 1 and 4 leave a gap: names in alphabetical order.
    assert.deepEqual(open(folder).json.labels, { background: 0, lesion: 1, organ: 2 });
    const turned = Uint8Array.from(readVolume(open(folder).cases[0].label!).data as Uint8Array, (v) => [0, 2, 1][v]);
    assert.equal(sha(turned), expected.rtstruct);
    const moved = await seriesOf(path.join(golden, 'oblique'));
    moved.planes = moved.planes.map((p) => ({ ...p, position: p.position.map((v) => v + 0.8) }));
    await assert.rejects(
      readDicomSeg([file], moved, (_, n) => n),
      /contour 1 of structure 1, which lies on no plane of the series/,
    );
  });

  it('series → case → DICOM segmentation → case: equal to the same volume as NIfTI; nothing of the patient gets out', async () => {
    fs.cpSync(path.join(golden, 'oblique'), at('in/Mustermann Erika/a'), { recursive: true });
    fs.cpSync(path.join(golden, 'seg'), at('in/Mustermann Erika/b'), { recursive: true });
    fs.cpSync(path.join(golden, 'stored12'), at('in/other'), { recursive: true });
    fs.writeFileSync(at('in/readme.txt'), 'no DICOM');
    const made = await convertDicom(at('in'), { ...raw(), as: 'Dataset501_Lesions' });
    assert.deepEqual([made.training.length, made.test.length, made.left], [1, 0, ['1 other series']]);
    const data = open(made.folder);
    assert.deepEqual(data.json.labels, { background: 0, liver: 1, lesion: 2 });
    const { image, label } = loadCase(data.cases[0]);
    assertGolden(readVolume(data.cases[0].images[0]), 'oblique');
    assert.equal(sha(Uint8Array.from(label!.data)), expected.seg);
    // The same volume as one NIfTI file.
    const whole = await readDicomSeries(await seriesOf(path.join(golden, 'oblique')));
    writeVolume(at('whole.nii.gz'), whole);
    assert.deepEqual(image.data, Float32Array.from(readVolume(at('whole.nii.gz')).data as ArrayLike<number>));

    for (const file of fs.readdirSync(made.folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile())) {
      const bytes = fs.readFileSync(path.join(file.parentPath, file.name));
      const text = (file.name.endsWith('.gz') ? zlib.gunzipSync(bytes) : bytes).toString('latin1') + file.name;
      for (const secret of ['Mustermann', 'PID-4711', '19640812', 'House', 'ACC-99', '20200102', '1.2.826.0.1'])
        assert.ok(!text.includes(secret), `${secret} in ${file.name}`);
    }

    fs.mkdirSync(at('predicted'));
    fs.copyFileSync(data.cases[0].label!, at('predicted', `${data.cases[0].id}.nii.gz`));
    const [written] = await dicomSegOf(at('predicted'), at('in'), at('out'), {
      workers: 1,
      names: path.join(made.folder, 'dataset.json'),
    });
    const back = await readDicomSeg([written], await seriesOf(path.join(golden, 'oblique')), (_, n) => n);
    assert.equal(sha(Uint8Array.from(back.data)), expected.seg);
    fs.rmSync(at('in/Mustermann Erika/b'), { recursive: true });
    fs.copyFileSync(written, at('in/seg.dcm'));
    const again = await convertDicom(at('in'), { ...raw(), as: 'Dataset502_Again' });
    assert.deepEqual(open(again.folder).json.labels, data.json.labels);
    assert.deepEqual(readVolume(open(again.folder).cases[0].label!).data, readVolume(data.cases[0].label!).data);

    const python = process.env.DICOM_PYTHON;
    if (!python) return;
    const planes = (await seriesOf(path.join(golden, 'oblique'))).planes.map((p) => p.file);
    const { stdout, stderr } = spawnSync(python, [path.join(golden, 'read_seg.py'), written, ...planes], { encoding: 'utf8' });
    assert.ok(stdout, stderr);
    const peer = JSON.parse(stdout);
    assert.equal(peer.sha256, expected.seg, stderr);
    assert.deepEqual(
      [peer.segments, peer.patient, peer.series],
      [['liver', 'lesion'], 'Mustermann^Erika', '1.2.826.0.1.3680043.8.498.1.1'],
    );
  });

  it('frames of one file are planes as files are', async () => {
    const { DicomDict } = (await dcmjs()).data;
    const series = await seriesOf(path.join(golden, 'stored12'));
    const { DicomMessage } = (await dcmjs()).data;
    const all = series.planes.map((p) =>
      DicomMessage.readFile(new Uint8Array(fs.readFileSync(p.file)).buffer as ArrayBuffer, {}),
    );
    const order = [3, 0, 5, 1, 4, 2];
    const pixels = Buffer.concat(order.map((k) => Buffer.from(all[k].dict[tags.PixelData].Value![0] as ArrayBuffer)));
    const { meta, dict } = all[0];
    const item = (name: keyof typeof tags, k: number) => ({ [tags[name]]: all[k].dict[tags[name]] });
    set(dict, 'NumberOfFrames', order.length);
    dict[tags.NumberOfFrames].vr = 'IS';
    dict[tags.SharedFunctionalGroupsSequence] = {
      vr: 'SQ',
      Value: [
        {
          [tags.PlaneOrientationSequence]: { vr: 'SQ', Value: [item('ImageOrientationPatient', 0)] },
          [tags.PixelMeasuresSequence]: { vr: 'SQ', Value: [item('PixelSpacing', 0)] },
        },
      ],
    };
    dict[tags.PerFrameFunctionalGroupsSequence] = {
      vr: 'SQ',
      Value: order.map((k) => ({
        [tags.PlanePositionSequence]: { vr: 'SQ', Value: [item('ImagePositionPatient', k)] },
        [tags.PixelValueTransformationSequence]: {
          vr: 'SQ',
          Value: [{ ...item('RescaleSlope', k), ...item('RescaleIntercept', k) }],
        },
      })),
    };
    for (const name of [
      'ImagePositionPatient',
      'ImageOrientationPatient',
      'PixelSpacing',
      'RescaleSlope',
      'RescaleIntercept',
    ] as const)
      delete dict[tags[name]];
    dict[tags.PixelData] = { vr: 'OW', Value: [new Uint8Array(pixels).buffer] };
    const out = new DicomDict(meta);
    out.dict = dict;
    fs.mkdirSync(at('in'));
    fs.writeFileSync(at('in/multi'), new Uint8Array(out.write()));
    assertGolden(await readDicomSeries(await seriesOf(at('in'))), 'stored12');
  });

  describe('what is no regular volume is refused by the name of its series', () => {
    const name = /series 1\.2\.826\.0\.1\.3680043\.8\.498\.2\.1 \(CT “generated”, \d+ files\): /;
    const refused = async (folder: string, pattern: RegExp) =>
      assert.rejects(seriesOf(folder), (error: Error) => {
        assert.match(error.message, new RegExp(name.source + pattern.source));
        return true;
      });

    it('a missing slice', async () => {
      const folder = await altered('stored12', () => {});
      fs.rmSync((await seriesOf(folder)).planes[2].file);
      await assert.rejects(convertDicom(at('in'), raw()), name);
      assert.ok(!fs.existsSync(at('raw')), 'nothing was written');
      await refused(folder, /slices are missing: 1 between 1 mm and 3 mm; expected one every 1 mm/);
    });
    it('the same image twice', async () => {
      const folder = await altered('stored12', () => {});
      fs.copyFileSync(filesOf(folder)[1], path.join(folder, 'copy'));
      await refused(folder, /the same image twice: .*IM0001 and .*copy; expected every image once/);
    });
    it('several time points', async () => {
      const folder = await altered('stored12', () => {});
      await altered('stored12', (e, k) => set(e, 'SOPInstanceUID', `1.2.3.${k}`), path.join(folder, 'later'));
      for (const file of filesOf(path.join(folder, 'later'))) fs.renameSync(file, `${file.replace('/later', '')}b`);
      fs.rmdirSync(path.join(folder, 'later'));
      await refused(folder, /several images at one position: 2 at each of 6 positions; expected one image a position/);
    });
    it('a tilted gantry', async () => {
      const folder = await altered('stored12', (e, k) => set(e, 'ImagePositionPatient', 0, k * 0.2, k));
      await refused(folder, /a tilted gantry: slices are stacked 11\.31° from their normal; .*dcm2niix/);
    });
    it('shifted slices, and uneven distances', async () => {
      const folder = await altered('stored12', (e, k) => set(e, 'ImagePositionPatient', k === 3 ? 0.5 : 0, 0, k));
      await refused(folder, /slices that are shifted against one another/);
      await altered('stored12', (e, k) => set(e, 'ImagePositionPatient', 0, 0, k + (k > 2 ? 0.3 : 0)));
      await refused(folder, /distances of slices from 1 mm to 1\.3 mm; expected one distance/);
    });
    it('a localizer among them, of another size and direction', async () => {
      const folder = await altered('stored12', (e, k) => {
        if (k !== 0) return;
        set(e, 'ImageOrientationPatient', 0, 1, 0, 0, 0, 1);
        set(e, 'Rows', 11);
        set(e, 'Columns', 9);
      });
      await refused(folder, /2 different sizes: 9×11 \(5 of them\), 11×9 \(1 of them\)/);
      await refused(folder, /.*\n.*2 different directions: 1 0 0 0 1 0 \(5 of them\), 0 1 0 0 0 1 \(1 of them\)/);
    });
    it('compressed pixels', async () => {
      const folder = await altered('stored12', () => {});
      for (const file of filesOf(folder)) {
        const bytes = fs.readFileSync(file);
        const where = bytes.indexOf('1.2.840.10008.1.2');
        assert.equal(bytes.subarray(where - 8, where - 4).toString('latin1'), '\x02\x00\x10\x00');
        // JPEG lossless needs five letters more: the meta header is written anew.
        const { DicomMessage, DicomDict } = (await dcmjs()).data;
        const { meta, dict } = DicomMessage.readFile(new Uint8Array(bytes).buffer as ArrayBuffer, {});
        set(meta, 'TransferSyntaxUID', '1.2.840.10008.1.2.4.70');
        meta[tags.TransferSyntaxUID].vr = 'UI';
        const out = new DicomDict(meta);
        delete dict[tags.PixelData];
        out.dict = dict;
        fs.writeFileSync(file, new Uint8Array(out.write()));
      }
      await refused(
        folder,
        /pixels in transfer syntax 1\.2\.840\.10008\.1\.2\.4\.70 \(JPEG lossless\); expected plain little-endian pixels.*gdcmconv --raw/,
      );
    });
    it('colour', async () => {
      const folder = await altered('stored12', (e) => set(e, 'SamplesPerPixel', 3));
      await refused(folder, /3 values a pixel; expected one/);
    });
  });

  it('a study of several series asks which, by UID; a choice is taken', async () => {
    fs.cpSync(path.join(golden, 'oblique'), at('in/a'), { recursive: true });
    await altered('stored12', (e) => set(e, 'StudyInstanceUID', '1.2.826.0.1.3680043.8.498.1.9'), at('in/b'));
    await assert.rejects(
      convertDicom(at('in'), raw()),
      /study \S+498\.1\.9: 2 series: series \S+498\.1\.1 \(CT “generated”, 8 files\); series \S+498\.2\.1 \(CT “generated”, 6 files\); expected one series a study.*--series/,
    );
    await assert.rejects(convertDicom(at('in'), { ...raw(), series: ['1.2.3'] }), /--series: 1\.2\.3; expected one of: series/);
    const made = await convertDicom(at('in'), { ...raw(), series: ['1.2.826.0.1.3680043.8.498.2.1'] });
    assert.deepEqual([made.training.length, made.test.length], [0, 1]);
    assertGolden(readVolume(path.join(made.folder, 'imagesTs', `${made.test[0]}_0000.nii.gz`)), 'stored12');
  });

  it('two modalities, a segmentation without its series, one on another grid, overlapping segments', async () => {
    fs.cpSync(path.join(golden, 'pet'), at('in/pet'), { recursive: true });
    fs.cpSync(path.join(golden, 'stored12'), at('in/ct'), { recursive: true });
    await assert.rejects(
      convertDicom(at('in'), raw()),
      /modality: (CT and PT|PT and CT); expected one for a data set of one channel/,
    );
    fs.copyFileSync(path.join(golden, 'seg/seg.dcm'), at('in/seg.dcm'));
    await assert.rejects(
      convertDicom(at('in'), raw()),
      /seg\.dcm: a segmentation of series \S+498\.1\.1; expected its series beside it/,
    );
    const seg = path.join(golden, 'seg/seg.dcm');
    const series = await seriesOf(path.join(golden, 'oblique'));
    const moved = { ...series, planes: series.planes.map((p) => ({ ...p, position: p.position.map((v) => v + 1) })) };
    await assert.rejects(
      readDicomSeg([seg], moved, (_, n) => n),
      /frame 1 at .* mm, which is no plane of the series/,
    );
    await assert.rejects(
      readDicomSeg([seg], await seriesOf(path.join(golden, 'pet')), (_, n) => n),
      /12×14 pixels; expected 9×9 as its series/,
    );
    await assert.rejects(
      readDicomSeg([seg, seg], series, (_, n) => (n === 1 ? (calls++ === 0 ? 1 : 3) : 2)),
      /liver with label 1: \d+ voxels in both/,
    );
  });
  let calls = 0;

  it('labels of another grid, none, or of no series there do not go back', async () => {
    fs.cpSync(path.join(golden, 'oblique'), at('in'), { recursive: true });
    const series = await seriesOf(at('in'));
    const whole: Volume = { ...series.geometry, channels: 1, data: new Uint8Array(8 * 12 * 14) };
    const refused = (labels: Volume, pattern: RegExp) =>
      assert.rejects(writeDicomSeg(at('a.dcm'), labels, series, new Map()), pattern);
    await refused(whole, /no labelled voxel; expected at least one/);
    whole.data.fill(1);
    await refused({ ...whole, originMm: [0, 0, 0] }, /an origin \d+\.\d\d mm away; expected the grid of the series/);
    await refused({ ...whole, shape: [8, 14, 12] }, /8×14×12 voxels, not 8×12×14; expected the grid of the series/);
    await refused({ ...whole, direction: [1, 0, 0, 0, 1, 0, 0, 0, 1] }, /other directions; expected the grid/);
    await refused({ ...whole, spacingMm: [3, 0.9, 0.8] }, /voxels of 3×0\.9×0\.8 mm; expected the grid/);
    assert.ok(!fs.existsSync(at('a.dcm')));
    fs.mkdirSync(at('predicted'));
    writeVolume(at('predicted/b.nii.gz'), whole);
    await assert.rejects(
      dicomSegOf(at('predicted'), at('in'), at('out'), { workers: 1 }),
      /b\.nii\.gz: labels of no series there; expected one of case_[0-9a-f]{12}/,
    );
  });

  it('damaged files are named, once for each fault; no image at all is said', async () => {
    const folder = await altered('stored12', () => {}, at('in'));
    const [first, second, third] = filesOf(folder);
    const cut = fs.readFileSync(third);
    fs.writeFileSync(third, cut.subarray(0, cut.length - 100));
    await assert.rejects(
      seriesOf(folder).then(readDicomSeries),
      /IM0002: (no readable DICOM|\d+ bytes of pixels; expected \d+ bytes)/,
    );
    for (const file of [first, second]) fs.writeFileSync(file, fs.readFileSync(file).subarray(0, 400));
    await assert.rejects(convertDicom(folder, raw()), /IM0000.*: no readable DICOM: .*; expected a DICOM file/);
    fs.mkdirSync(at('empty'));
    await assert.rejects(convertDicom(at('empty'), raw()), /holds no images.*no file; expected a folder with DICOM images/s);
    await assert.rejects(convertDicom(at('none'), raw()), /no such folder/);
    await assert.rejects(convertDicom(folder, { ...raw(), as: '../evil' }), /--as: \.\.\/evil; expected Dataset, three digits/);
  });

  it('two hundred damaged files each end in a volume or an error that says what is wrong', async () => {
    const random = new Random(7);
    const sources = ['oblique/IM0000', 'stored12/IM0001', 'seg/seg.dcm', 'rtstruct/rs.dcm'].map((f) =>
      fs.readFileSync(path.join(golden, f)),
    );
    const series = await seriesOf(path.join(golden, 'oblique'));
    for (let k = 0; k < 200; k++) {
      let bytes = Buffer.from(sources[k % 4]);
      const where = 132 + random.int(0, bytes.length - 140);
      const kind = random.int(0, 4);
      if (kind === 0) bytes[where] ^= 1 << random.int(0, 8);
      else if (kind === 1) bytes.writeUInt32LE(0xffffffff, where);
      else if (kind === 2) bytes.writeUInt32LE(random.int(0, 2 ** 31), where);
      else bytes = bytes.subarray(0, where);
      fs.writeFileSync(at('a'), bytes);
      try {
        const header = await readDicomHeader(at('a'));
        if (header.kind === 'image') await readDicomSeries(orderDicomSeries([header]));
        else if (header.kind === 'seg') await readDicomSeg([at('a')], series, (_, n) => n);
      } catch (error) {
        assert.ok(error instanceof VoxelbookError, `${k}: ${(error as Error).stack}`);
      }
    }
  });

  it('a header that says more pixels than the file can hold takes no memory', async () => {
    const folder = await altered('stored12', (e) => {
      set(e, 'Rows', 65535);
      set(e, 'Columns', 65535);
    });
    await assert.rejects(seriesOf(folder), /IM0000 of \d+ bytes; expected 8589672450 bytes of pixels, as its header says/);
  });
});
