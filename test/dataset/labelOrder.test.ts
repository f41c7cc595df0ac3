// Names of labels that are whole numbers keep their place, as in Python; labels given as text are numbers, as in nnU-Net.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { datasetJsonFaults, datasetJsonText, labels, readDatasetJson } from '../../src/dataset/index.js';
import { labelOrder } from '../../src/dataset/labelOrder.js';

describe('labels in the order of the file', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vb-order-'));
  after(() => fs.rmSync(folder, { recursive: true }));
  const read = (text: string) => {
    fs.writeFileSync(path.join(folder, 'dataset.json'), text);
    return readDatasetJson(path.join(folder, 'dataset.json'));
  };
  const rest = '"channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".nii.gz"';

  it('regions called by numbers stay where they stand, also once written and read again, and in another process', () => {
    const json = read(`{${rest}, "labels": {"background": 0, "2": [1, 2], "1": [1]}, "regions_class_order": [2, 1]}`);
    const expected = { regions: [[1, 2], [1]], names: ['2', '1'], regionsClassOrder: [2, 1] };
    for (const one of [json, read(datasetJsonText(json)), JSON.parse(JSON.stringify(json)), read(JSON.stringify(json))]) {
      const { regions, names, regionsClassOrder } = labels(one);
      assert.deepEqual({ regions, names, regionsClassOrder }, expected);
    }
    assert.match(datasetJsonText(json), /"background": 0,\s+"2": \[1,2\],\s+"1": \[1\]/);
  });

  it('only the names of the outer labels are taken, whatever the text holds', () => {
    const text = '{"x": {"labels": {"9": 1}}, "labels" : {"b\\"}": 0, "3": [1, {"q": 2}], "1": 2, "3": 4}, "labels2": {"7": 1}}';
    assert.deepEqual(labelOrder(text), ['b"}', '3', '1']);
    assert.equal(labelOrder('[{"labels": {"1": 2}}]'), undefined);
    assert.equal(labelOrder('{"labels": 3}'), undefined);
  });

  it('labels as text are taken as nnU-Net takes them; the older order of names is told', () => {
    const json = read(`{${rest}, "labels": {"background": "0", "organ": "1", "lesion": " 2 "}}`);
    assert.deepEqual(json.labels, { background: 0, organ: 1, lesion: 2 });
    const faults = (value: object) =>
      datasetJsonFaults({ channel_names: { '0': 'CT' }, numTraining: 1, file_ending: '.nii.gz', labels: value });
    assert.match(faults({ '0': 'background', '1': 'organ' })[0].fix, /order of nnU-Net v1/);
    assert.equal(faults({ background: 0, organ: '1.5' }).length, 1);
    assert.match(faults({ background: 0, organ: 40000 })[0].expected, /from 0 to 32767/);
  });
});
