// A kernel in a folder of its own and what tests ask of it, shared by the kernel's test files.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Kernel } from './client.js';

export { sleep } from './client.js';

export async function notebook(env: NodeJS.ProcessEnv = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-kernel-'));
  const kernel = await Kernel.start(folder, { VOXELBOOK_HISTORY: '', ...env });
  const ok = async (code: string) => {
    const done = await kernel.run(code);
    assert.equal(done.reply.status, 'ok', `${code}\n${done.error?.traceback.join('\n')}`);
    return done;
  };
  return {
    kernel,
    folder,
    /** Runs a cell that must end well. */
    ok,
    /** The text of a cell's result. */
    text: async (code: string): Promise<string | undefined> => (await ok(code)).result?.['text/plain'],
    /** Runs a cell that must end with an error. */
    async fails(code: string) {
      const done = await kernel.run(code);
      assert.equal(done.reply.status, 'error', `${code} ends well`);
      return done.error as { ename: string; evalue: string; traceback: string[] };
    },
    /** A file beside the notebook. */
    write(name: string, content: string) {
      fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      fs.writeFileSync(path.join(folder, name), content);
    },
    /** Begins a cell that prints 'running', stops it, and gives back how it ended. */
    async stop(code: string, wait = 150) {
      const id = kernel.begin(code);
      await kernel.find(id, 'stream', (m) => m.content.text.includes('running'));
      await new Promise((resolve) => setTimeout(resolve, wait));
      kernel.send('control', 'interrupt_request', {});
      const done = await kernel.finish(id, 10_000);
      assert.equal(done.error?.ename, 'Interrupted');
      return done;
    },
    async close() {
      await kernel.close();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}
export type Notebook = Awaited<ReturnType<typeof notebook>>;
