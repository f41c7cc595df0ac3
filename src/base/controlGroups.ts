// The control groups around this process (version 1 and 2, nested), as containers and cluster jobs set them.
import fs from 'node:fs';
import path from 'node:path';

/** Text of a file, undefined where there is none. */
export type ReadText = (file: string) => string | undefined;

export const readText: ReadText = (file) => {
  try {
    return fs.readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
};

export interface ControlGroup {
  /** Where its files lie; may not be there for a group that is not seen from here. */
  folder: string;
  version: 1 | 2;
}

/**
 * The groups that limit a resource of this process, innermost first, as far as they can be seen from here.
 * @param controller of version 1
 * @param read for tests: a file system of their own
 * @param pid another process than this one
 */
export function controlGroups(
  controller: 'cpu' | 'memory',
  read: ReadText = readText,
  pid: number | 'self' = 'self',
): ControlGroup[] {
  const own = (read(`/proc/${pid}/cgroup`) ?? '').split('\n').flatMap((line) => {
    const [, controllers, group] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    return group === undefined ? [] : [{ controllers: controllers.split(','), group }];
  });
  return mounts(read('/proc/self/mountinfo') ?? '', controller).flatMap(({ version, top, point }) => {
    const mine = own.find(({ controllers }) => controllers.includes(version === 2 ? '' : controller))?.group;
    // A container may see its own group as the top of the mount, whatever its path outside.
    let inside = mine === undefined ? '/' : path.posix.join('/', mine.startsWith(`${top}/`) ? mine.slice(top.length) : '/');
    const groups: ControlGroup[] = [];
    for (;;) {
      groups.push({ folder: path.posix.join(point, inside), version });
      if (inside === '/') return groups;
      inside = path.posix.dirname(inside);
    }
  });
}

/** Where hierarchies with the controller are mounted; `top` is the group at the top of the mount, without a closing slash. */
function mounts(mountinfo: string, controller: string): { version: 1 | 2; top: string; point: string }[] {
  const plain = (text: string) => text.replaceAll(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
  return mountinfo.split('\n').flatMap((line) => {
    const [before, after = ''] = line.split(' - ');
    const [, , , top, point] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    const version = type === 'cgroup2' ? 2 : type === 'cgroup' && options.split(',').includes(controller) ? 1 : undefined;
    return version && point ? [{ version, top: plain(top).replace(/\/$/, ''), point: plain(point) }] : [];
  });
}
