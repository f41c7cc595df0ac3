// npm run lab, npx voxelbook lab: JupyterLab on this machine only, with a token, opened at the notebook named; in a checkout without a
// name at the quickstart, elsewhere at the working folder.
//
//   npm run lab [-- notebooks/other.ipynb | /elsewhere/mine.ipynb] [--port 8899]
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { jupyterPath } from '../kernels/voxelbook/register.mjs';
import { commandText, isCheckout, places } from './places.mjs';
import { python } from './steps.mjs';

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/**
 * Starts JupyterLab on the loopback address and waits until it answers.
 * @param folder what the file browser shows; the project, or the working folder, unless given
 * @returns `url` (with its token, not opened at a notebook), `urlOf(notebook)`, `child`, and `stop()`
 */
export async function startLab({ folder = places().work, port, expose = false } = {}) {
  port ??= await freePort();
  const token = randomBytes(24).toString('hex');
  const base = `http://127.0.0.1:${port}`;
  const args = ['-m', 'jupyterlab', '--no-browser', '--ip=127.0.0.1', `--port=${port}`, '--ServerApp.port_retries=0'];
  args.push(`--ServerApp.root_dir=${folder}`, '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate');
  args.push('--LabApp.news_url=None');
  if (process.getuid?.() === 0) args.push('--allow-root');
  if (expose) args.push('--LabApp.expose_app_in_browser=True');
  const child = spawn(python, args, {
    // Not on the command line, where every user of the machine could read it.
    env: { ...process.env, JUPYTER_TOKEN: token, JUPYTER_PREFER_ENV_PATH: '1', JUPYTER_PATH: jupyterPath() },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (d) => {
    log = (log + d).slice(-6000);
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.on('error', (error) => {
    log += error.message;
  });
  for (const begin = Date.now(); ; ) {
    if (child.exitCode !== null || child.pid === undefined)
      throw new Error(`JupyterLab did not start:\n${log.trim()}\nWhat to do: ${commandText('doctor')}`);
    const answer = await fetch(`${base}/api/status?token=${token}`).catch(() => undefined);
    if (answer?.ok) break;
    if (Date.now() - begin > 60_000) {
      child.kill();
      throw new Error(`JupyterLab did not answer within 60 s:\n${log.trim()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const urlOf = (notebook) => {
    const inside = path.relative(folder, path.resolve(notebook)).split(path.sep).map(encodeURIComponent).join('/');
    return `${base}/lab/tree/${inside}?token=${token}`;
  };
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  return { base, token, url: `${base}/lab?token=${token}`, urlOf, child, ended, stop };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  const at = args.indexOf('--port');
  const port = at < 0 ? undefined : Number(args.splice(at, 2)[1]);
  const { work } = places();
  const notebook = path.resolve(args[0] ?? path.join(work, isCheckout ? 'notebooks/quickstart.ipynb' : 'study.ipynb'));
  try {
    if (!fs.existsSync(python))
      throw new Error(`the Python environment is missing.\nWhat to do: ${commandText('setup')} --with-jupyter`);
    if (args[0] && !fs.existsSync(notebook)) throw new Error(`there is no notebook ${notebook}`);
    // JupyterLab shows what lies below one folder: the project's, or that of a notebook elsewhere.
    const inside = notebook.startsWith(work + path.sep);
    const lab = await startLab({ port, folder: inside ? work : path.dirname(notebook) });
    console.log(`Open in a browser (Ctrl-C here ends it):  ${fs.existsSync(notebook) ? lab.urlOf(notebook) : lab.url}`);
    const stop = () => lab.stop();
    process.once('SIGINT', stop).once('SIGTERM', stop);
    await lab.ended;
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
