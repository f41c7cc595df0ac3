// Data sets that are made instead of found: `open` knows them by name, and whoever makes them registers them here.
import type { WorkOptions } from '../base/progress.js';

/** Writes a set as an ordinary raw folder where there is none yet, and says where. */
export type WriteEmbedded = (name: string, options: WorkOptions) => string;

const makers = new Map<string, WriteEmbedded>();

/** Makes sets known to `open` under their names. */
export function registerEmbedded(names: readonly string[], write: WriteEmbedded): void {
  for (const name of names) makers.set(name, write);
}

/** Names of all sets that can be made. */
export const madeNames = (): string[] => [...makers.keys()];

/** The folder of a set of `madeNames`. */
export const makeEmbedded = (name: string, options: WorkOptions): string => makers.get(name)!(name, options);
