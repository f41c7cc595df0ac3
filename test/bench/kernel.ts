// Kernel start and cell latency, this kernel beside stock tslab:  npx tsx test/bench/kernel.ts [cells]
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kernel } from '../kernels/client.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const cells = Number(process.argv[2] ?? 40);
const kernels: Record<string, string[] | undefined> = {
  voxelbook: undefined,
  tslab: [process.execPath, path.join(root, 'node_modules/tslab/bin/tslab'), 'kernel', '--config-path'],
};

const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1];
const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
const memory = (pid: number) => {
  const kb = fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1];
  return `${Math.round(Number(kb) / 1024)} MB`;
};

for (const [name, command] of Object.entries(kernels)) {
  const time = async (work: () => Promise<unknown>) => {
    const begin = performance.now();
    await work();
    return performance.now() - begin;
  };
  const begin = performance.now();
  const kernel = await Kernel.start(path.join(root, 'test/bench'), {}, command);
  const ready = performance.now() - begin;
  const run = async (code: string) => {
    const { reply, error } = await kernel.run(code);
    if (reply.status !== 'ok') console.log(`  ${code}: ${error?.evalue ?? 'failed'}`);
  };
  await run('1 + 1');
  const first = performance.now() - begin;
  const plain: number[] = [];
  for (let i = 0; i < cells; i++) plain.push(await time(() => run(`const a${i} = ${i}; a${Math.max(0, i - 1)} + 1`)));
  const idle = memory(kernel.process.pid!);
  const library = await time(() => run("import { tensor, plan } from 'voxelbook'; import { table } from 'arquero';"));
  const used: number[] = [];
  for (let i = 0; i < cells; i++)
    used.push(
      await time(() =>
        run(`const t${i} = table({ a: [${i}] }); const k${i} = [typeof tensor.conv, typeof plan.plan, t${i}.numRows()];`),
      ),
    );
  console.log(
    `${name.padEnd(10)} ready ${seconds(ready)}, first result ${seconds(first)}, cell ${median(plain).toFixed(0)} ms, import voxelbook ${seconds(library)}, ` +
      `cell then ${median(used).toFixed(0)} ms, memory ${idle}, then ${memory(kernel.process.pid!)}`,
  );
  await kernel.close();
}
process.exit(0);
