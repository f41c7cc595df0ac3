export interface Owner {
  pid: number;
  host: string;
  /** When the process started, in the kernel's ticks since boot; null where there is no /proc. */
  startTicks: string | null;
  /** No two claims have the same. */
  token: string;
  since: string;
}
export function thisProcess(): Owner;
export function readOwner(file: string): Owner | undefined;
export function isOwnerAlive(file: string, owner: Owner): boolean;
export function tryClaim<T extends Owner>(file: string, mine: T, force?: boolean, own?: string): Owner | undefined;
export function holds(file: string, mine: Owner): boolean;
export function signOfLife(file: string, mine: Owner): () => void;
export function giveBack(file: string, mine: Owner): void;
