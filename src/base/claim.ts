// Claims of environment/claim.mjs, with errors that say what to do: the ground of locks and leases.
import * as claim from '../../environment/claim.mjs';
import { temporaryName } from './atomicWrite.js';
import { failedOn } from './errors.js';

export { isOwnerAlive, type Owner, signOfLife, thisProcess } from '../../environment/claim.mjs';

/** The owner that a claim names; undefined when there is no claim. One that cannot be read has an owner that is dead. */
export const readOwner = (file: string): claim.Owner | undefined => typed(file, () => claim.readOwner(file));

/**
 * Takes `file` for `mine`, unless a living process holds it.
 * @param force take it from a living process too (a cluster job that was started again)
 * @returns undefined when it is ours now, else the living owner
 */
export const tryClaim = <T extends claim.Owner>(file: string, mine: T, force = false): claim.Owner | undefined =>
  typed(file, () => claim.tryClaim(file, mine, force, temporaryName(`${file}.${mine.token}`)));

/** Whether the claim is still that of `mine`. */
export const holds = (file: string, mine: claim.Owner): boolean => typed(file, () => claim.holds(file, mine));

/** Gives a claim back. */
export const giveBack = (file: string, mine: claim.Owner): void => typed(file, () => claim.giveBack(file, mine));

function typed<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw failedOn(file, error, 'claim');
  }
}
