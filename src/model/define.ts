// One definition a network: its name, how a specification becomes it, which modules are its heads, how its paper counts FLOPs.
import type { z } from 'zod';
import type { Configuration } from '../plan/plan.js';
import type { Network } from './network.js';

/** What every specification may say about its ends; what is left out comes from the data set when the network is built. */
export interface Ends {
  inputChannels?: number;
  /** Output channels: labels with background, or regions. */
  classes?: number;
  /** Heads at lower resolutions too. */
  deepSupervision?: boolean;
}

/** A specification: plain data, told apart by `network`. */
export interface Spec extends Ends {
  network: string;
}

/** A network by its name: the settings it takes, and how a specification becomes it. */
export interface Definition<S extends Spec = any, Name extends string = string> {
  /** What a specification says under `network`. */
  name: Name;
  /** What a specification may set, of a network from outside; the built-in ones stand in `settings.ts`. */
  settings?: z.ZodObject;
  /**
   * The network, without parameters.
   * @param spec with channels and classes given
   * @param plan a plan's configuration, for networks that take their topology or patch from it
   * @throws VoxelbookError naming what is missing or does not fit
   */
  build(spec: S, plan?: Configuration): Network;
  /** The modules whose outputs are the classes, by how their names begin; the fine-tuning of the papers starts them afresh. */
  heads: readonly string[];
  /** What the network's own paper prints as FLOPs, where it says so. */
  convention?: string;
}

/** The specification that a definition takes. */
export type SpecOf<D> = D extends Definition<infer S> ? S : never;

/** A definition whose networks say of every parameter whether it belongs to a head. */
export function define<S extends Spec, const Name extends S['network']>(definition: Definition<S, Name>): Definition<S, Name> {
  const isHead = (name: string) => definition.heads.some((start) => name.startsWith(start));
  return {
    ...definition,
    build(spec, plan) {
      const network = definition.build(spec, plan);
      return { ...network, parameters: network.parameters.map((p) => (isHead(p.aliasOf ?? p.name) ? { ...p, head: true } : p)) };
    },
  };
}
