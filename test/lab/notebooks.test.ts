// Every notebook as it is committed: text alone, every cell passing the kernel's compiler, in order, without being run.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const folder = path.join(root, 'notebooks');
const notebooks = fs
  .readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ipynb') && !file.includes('.ipynb_checkpoints'));

describe('the notebooks', function () {
  this.timeout(120_000);

  for (const file of notebooks)
    it(`${file}: written for the voxelbook kernel, without outputs, counts or paths of one machine; its last cell says how long it took`, () => {
      const text = fs.readFileSync(path.join(folder, file), 'utf8');
      const { cells, metadata } = JSON.parse(text);
      assert.equal(metadata.kernelspec.name, 'voxelbook');
      for (const [i, cell] of cells.entries()) {
        assert.ok(!cell.metadata.execution, `cell ${i} has times of a run`);
        if (cell.cell_type !== 'code') continue;
        assert.deepEqual(cell.outputs, [], `cell ${i}`);
        assert.equal(cell.execution_count, null, `cell ${i}`);
      }
      assert.doesNotMatch(text, /(?<![\w./:-])\/(home|Users|root|work|tmp|mnt|opt|var|usr)\/|\b[A-Z]:\\\\/);
      assert.match([cells.at(-1).source].flat().join(''), /console\.log\(`This (notebook|lesson) took \$\{/);
    });

  for (const file of notebooks)
    it(`${file}: every cell type checks`, async () => {
      const { port1, port2 } = new MessageChannel();
      const home = path.dirname(path.join(folder, file));
      const compiler = new Worker(new URL('../../kernels/voxelbook/types.mjs', import.meta.url), {
        workerData: { root, folder: home, wire: port2 },
        transferList: [port2],
        execArgv: [],
      });
      try {
        const { cells } = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
        let id = 0;
        for (const { cell_type, source } of cells) {
          if (cell_type !== 'code') continue;
          id++;
          const code = Array.isArray(source) ? source.join('') : source;
          port1.postMessage({ request: id, ask: 'compile', code, id, label: `cell ${id}` });
          const { value, error } = await new Promise<any>((resolve) => port1.once('message', resolve));
          assert.equal(error, undefined);
          const faults = (value.faults ?? []).map(
            (f: any) => `${f.label}:${f.line}:${f.column} TS${f.number} ${f.text}\n  ${f.lineText}`,
          );
          assert.equal(faults.length, 0, faults.join('\n'));
        }
      } finally {
        port1.close();
        await compiler.terminate();
      }
    });
});
