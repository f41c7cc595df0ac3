// A Jupyter client for the tests: the real kernel process, its five sockets, and what came back for each request.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import * as zmq from 'zeromq';

const register = new URL('../../kernels/voxelbook/register.mjs', import.meta.url);
const { kernelCommand, kernelEnvironment } = await import(register.href);

export interface Message {
  header: { msg_type: string; msg_id: string };
  parent_header: { msg_id?: string };
  metadata: any;
  content: any;
}

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class Kernel {
  readonly heard: Message[] = [];
  stderr = '';
  private waiters: (() => void)[] = [];
  private constructor(
    readonly process: ChildProcess,
    readonly folder: string,
    private readonly key: string,
    private readonly sockets: {
      shell: zmq.Dealer;
      control: zmq.Dealer;
      stdin: zmq.Dealer;
      iopub: zmq.Subscriber;
      hb: zmq.Request;
    },
  ) {}

  /** Starts the kernel in `folder` and waits until it answers. */
  static async start(
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'voxelbook-kernel-')),
    env: NodeJS.ProcessEnv = {},
    [command, ...args]: string[] = kernelCommand(),
  ) {
    const names = ['shell', 'control', 'stdin', 'iopub', 'hb'] as const;
    const ports = await Promise.all(names.map(freePort));
    const key = randomUUID();
    const connection = {
      ...Object.fromEntries(names.map((name, i) => [`${name}_port`, ports[i]])),
      ...{ ip: '127.0.0.1', transport: 'tcp', key, signature_scheme: 'hmac-sha256' },
    };
    const file = path.join(os.tmpdir(), `voxelbook-${key}.json`);
    fs.writeFileSync(file, JSON.stringify(connection));
    const child = spawn(command, [...args, file], {
      cwd: folder,
      env: { ...process.env, ...kernelEnvironment, JPY_PARENT_PID: String(process.pid), VOXELBOOK_HISTORY: '', ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const options = { linger: 0 };
    const identity = { routingId: randomUUID(), ...options };
    const sockets = {
      shell: new zmq.Dealer(identity),
      control: new zmq.Dealer(identity),
      stdin: new zmq.Dealer(identity),
      iopub: new zmq.Subscriber(options),
      hb: new zmq.Request(options),
    };
    for (const [i, name] of names.entries()) sockets[name].connect(`tcp://127.0.0.1:${ports[i]}`);
    sockets.iopub.subscribe();
    const kernel = new Kernel(child, folder, key, sockets);
    child.stderr!.on('data', (d) => (kernel.stderr += d));
    child.on('exit', () => fs.rmSync(file, { force: true }));
    for (const name of ['shell', 'control', 'stdin', 'iopub'] as const) kernel.listen(name);
    // A subscription takes a moment to arrive: ready means an answer to kernel_info was also heard on iopub.
    for (;;) {
      const id = kernel.send('shell', 'kernel_info_request', {});
      const idle = await kernel.find(id, 'status', undefined, 500).catch(() => undefined);
      if (idle) return kernel;
      if (child.exitCode !== null) throw new Error(`the kernel ended: ${kernel.stderr}`);
    }
  }

  private async listen(name: 'shell' | 'control' | 'stdin' | 'iopub') {
    for await (const frames of this.sockets[name]) {
      const at = frames.findIndex((f) => f.toString() === '<IDS|MSG>');
      const [header, parent_header, metadata, content] = frames.slice(at + 2, at + 6).map((f) => JSON.parse(f.toString()));
      this.heard.push({ header, parent_header, metadata, content });
      for (const wake of this.waiters.splice(0)) wake();
    }
  }

  /** Sends a request, signed with `key`; returns its message id. */
  send(channel: 'shell' | 'control' | 'stdin', type: string, content: object, key = this.key): string {
    const id = randomUUID();
    const header = {
      msg_id: id,
      msg_type: type,
      session: 'test',
      username: 'test',
      date: new Date().toISOString(),
      version: '5.3',
    };
    const parts = [header, {}, {}, content].map((p) => JSON.stringify(p));
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    void this.sockets[channel].send(['<IDS|MSG>', hmac.digest('hex'), ...parts]);
    return id;
  }

  /** Waits for the first message that answers `id`, of this type, and fulfils the test. */
  async find(id: string, type: string, test: (m: Message) => boolean = () => true, ms = 60_000): Promise<Message> {
    const end = performance.now() + ms;
    for (;;) {
      const found = this.heard.find((m) => m.parent_header.msg_id === id && m.header.msg_type === type && test(m));
      if (found) return found;
      const over = this.process.exitCode !== null || this.process.signalCode !== null;
      if (over) throw new Error(`no ${type}: the kernel ended; stderr: ${this.stderr}`);
      if (performance.now() > end) throw new Error(`no ${type} within ${ms} ms; stderr: ${this.stderr}`);
      await Promise.race([new Promise<void>((resolve) => this.waiters.push(resolve)), sleep(200)]);
    }
  }

  async ask(channel: 'shell' | 'control', type: string, content: object): Promise<any> {
    const id = this.send(channel, type, content);
    return (await this.find(id, type.replace('_request', '_reply'))).content;
  }

  begin(code: string, options: object = {}): string {
    return this.send('shell', 'execute_request', { code, silent: false, store_history: true, allow_stdin: false, ...options });
  }

  /** Waits for the end of the cell begun under `id`: what it printed, showed and answered. */
  async finish(id: string, ms = 60_000) {
    const reply = await this.find(id, 'execute_reply', undefined, ms);
    await this.find(id, 'status', (m) => m.content.execution_state === 'idle');
    const all = this.heard.filter((m) => m.parent_header.msg_id === id);
    const of = (type: string) => all.filter((m) => m.header.msg_type === type).map((m) => m.content);
    const printed = (name: string) =>
      of('stream')
        .filter((c) => c.name === name)
        .map((c) => c.text)
        .join('');
    return {
      ...{ id, all, of, reply: reply.content, stdout: printed('stdout'), stderr: printed('stderr') },
      ...{ result: of('execute_result')[0]?.data, error: of('error')[0] as any },
    };
  }

  run(code: string, ms?: number) {
    return this.finish(this.begin(code), ms);
  }

  /** Returns once a heartbeat has come back. */
  async beat(): Promise<void> {
    await this.sockets.hb.send('beat');
    await this.sockets.hb.receive();
  }

  async close() {
    for (const socket of Object.values(this.sockets)) socket.close();
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await new Promise((resolve) => this.process.once('exit', resolve));
    }
    if (path.basename(this.folder).startsWith('voxelbook-kernel-')) fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
