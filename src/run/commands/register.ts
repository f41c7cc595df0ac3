// `voxelbook register`: the kernel in Jupyter outside of this project.
import { VoxelbookError } from '../../base/errors.js';
import { type Command, print } from './command.js';

interface Registration {
  registerElsewhere(where: { prefix?: string }): string;
  unregister(where: { prefix?: string }): string | undefined;
}

export const register: Command = {
  about: 'makes the TypeScript kernel known to VS Code, JupyterLab and JupyterHub',
  takes: '--user | --prefix <folder> [--remove]',
  options: { user: { type: 'boolean' }, prefix: { type: 'string' }, remove: { type: 'boolean' } },
  help: {
    user: 'for you: every front end of yours finds it',
    prefix: 'for a Python environment, or /usr/local for everybody on this machine',
    remove: 'takes it back',
  },
  example: 'npx voxelbook register --user',
  async work(_positionals, { user, prefix, remove }) {
    if (Boolean(user) === (prefix !== undefined))
      throw new VoxelbookError('this command cannot run', {
        code: 'usage',
        path: 'arguments',
        given: user ? '--user and --prefix' : 'neither --user nor --prefix',
        expected: 'one of --user and --prefix <folder>',
        fix: 'For your own front ends: npx voxelbook register --user',
      });
    const url = new URL('../../../kernels/voxelbook/register.mjs', import.meta.url);
    const { registerElsewhere, unregister }: Registration = await import(url.href);
    const where = prefix === undefined ? {} : { prefix: String(prefix) };
    if (!remove) print(`The kernel "TypeScript (voxelbook)" is known by ${registerElsewhere(where)}`);
    else {
      const folder = unregister(where);
      print(folder ? `The kernel is no longer known by ${folder}` : 'The kernel was not registered there.');
    }
  },
};
