// Memory of this process, as the system counts it.
import fs from 'node:fs';

/**
 * Largest resident memory so far, in bytes. Linux: VmHWM, which begins anew with every program; `resourceUsage().maxRSS` (used
 * elsewhere) starts at what the parent process held when it forked.
 */
export function peakResidentBytes(): number {
  const status = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(status)?.[1];
  return kilobytes ? Number(kilobytes) * 1024 : process.resourceUsage().maxRSS * 1024;
}
