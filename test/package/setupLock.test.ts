// Two set-ups of one home: the second waits, and says for whom; one whose owner was killed is taken over.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const environment = fileURLToPath(new URL('../../environment/', import.meta.url));

describe('two set-ups of one home', function () {
  this.timeout(60_000);
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'two-set-ups-'));
  const { version } = JSON.parse(fs.readFileSync(path.join(environment, '../package.json'), 'utf8'));
  const state = path.join(home, version, '.state');
  const children: ChildProcess[] = [];
  const start = (args: string[]) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, VOXELBOOK_HOME: home },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    let text = '';
    child.stdout!.on('data', (part) => (text += part));
    let closed = false;
    child.on('close', () => (closed = true));
    const says = async (pattern: RegExp) => {
      while (!pattern.test(text)) {
        assert.ok(!closed, `ended without saying ${pattern}: ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return text;
    };
    return { child, says, text: () => text };
  };
  /** Holds the home as a set-up does that is at work, until its input closes. */
  const holder = () =>
    start([
      '--input-type=module',
      '-e',
      `import { alone } from ${JSON.stringify(path.join(environment, 'steps.mjs'))};
       await alone(${JSON.stringify(state)}, () => { console.log('works'); return new Promise((end) => process.stdin.on('end', end).resume()); });
       console.log('ended');`,
    ]);
  before(() => fs.mkdirSync(state, { recursive: true }));
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    fs.rmSync(home, { recursive: true });
  });

  it('the second says for whom it waits, does nothing meanwhile, and goes on when the first has ended', async () => {
    const first = holder();
    await first.says(/works/);
    const setup = start([path.join(environment, 'setup.mjs')]);
    const text = await setup.says(/\n/);
    assert.match(
      text,
      new RegExp(
        `^Another set-up \\(process ${first.child.pid} on ${os.hostname()}, since .+\\) works in ${path.dirname(state)};`,
      ),
    );
    const second = holder();
    await second.says(/Another set-up/);
    setup.child.kill('SIGKILL');
    await once(setup.child, 'exit');
    assert.deepEqual(
      fs.readdirSync(state).filter((name) => !name.startsWith('lock')),
      [],
    );
    assert.doesNotMatch(setup.text(), /\[1\//);
    first.child.stdin!.end();
    await second.says(/works/);
    await first.says(/ended/);
    second.child.stdin!.end();
    await second.says(/ended/);
    assert.deepEqual(fs.readdirSync(state), []);
  });

  it('what a killed one held is taken over', async () => {
    const killed = holder();
    await killed.says(/works/);
    killed.child.kill('SIGKILL');
    await once(killed.child, 'exit');
    const next = holder();
    await next.says(/works/);
    assert.doesNotMatch(next.text(), /Another/);
    next.child.stdin!.end();
    await next.says(/ended/);
  });
});
