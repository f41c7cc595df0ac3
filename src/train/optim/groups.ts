// Parameter groups: learning rates and weight decay of their own, by beginnings of parameter names.
import type { Fault } from '../../base/errors.js';
import { nearest } from '../../base/nearest.js';
import type { ParamInfo } from '../../model/network.js';
import type { NameGroup, ParameterGroup, Recipe } from '../experiment.js';

/** What of a parameter is its own: the factor of the learning rate, and weight decay where it is not the optimiser's. */
export type OwnSettings = (name: string) => { factor: number; weightDecay?: number };

/** True for a name that starts with one of the prefixes and with none of the exceptions. */
export const isIn = ({ prefixes, except }: NameGroup, name: string): boolean =>
  prefixes.some((p) => name.startsWith(p)) && !except?.some((p) => name.startsWith(p));

/**
 * A norm's scale or shift, or a bias: a parameter that is no kernel and has at most one axis longer than 1 (timm's rule, which also finds
 * MedNeXt's response norm).
 */
export const isNormOrBias = ({ layout, shape }: Pick<ParamInfo, 'layout' | 'shape'>): boolean =>
  layout === 'plain' && shape.filter((n) => n > 1).length <= 1;

/** What a recipe says of single parameters; the first group that names one counts. Undefined where it says nothing. */
export function ownSettings(
  { groups = [], decayNormsAndBiases }: Pick<Recipe, 'groups' | 'decayNormsAndBiases'>,
  parameters: readonly ParamInfo[],
): OwnSettings | undefined {
  if (groups.length === 0 && decayNormsAndBiases !== false) return undefined;
  const undecayed = new Set(decayNormsAndBiases === false ? parameters.filter(isNormOrBias).map(({ name }) => name) : []);
  return (name) => {
    const group = groups.find((g) => isIn(g, name));
    return { factor: group?.learningRate ?? 1, weightDecay: undecayed.has(name) ? 0 : group?.weightDecay };
  };
}

/** Names that share rate and weight decay, together. */
export function grouping(names: readonly string[], own: OwnSettings) {
  const found = new Map<string, { names: string[] } & ReturnType<OwnSettings>>();
  for (const name of names) {
    const settings = own(name);
    const key = JSON.stringify([settings.factor, settings.weightDecay]);
    if (!found.has(key)) found.set(key, { names: [], ...settings });
    found.get(key)!.names.push(name);
  }
  return [...found.values()];
}

/**
 * Groups for layer-wise rates: of the layers from the first to the last named, each has `decay` times the rate of the one behind it; what
 * no prefix names has the whole rate. `layerwise(['stem', 'stages.0', 'stages.1'], 0.5)` gives 0.125, 0.25 and 0.5.
 */
export const layerwise = (prefixes: readonly string[], decay: number): ParameterGroup[] =>
  prefixes.map((prefix, i) => ({ prefixes: [prefix], learningRate: decay ** (prefixes.length - i) }));

/** Beginnings of names that no parameter of the network has: nothing would be frozen or have a rate of its own. */
export function groupFaults({ groups = [], freeze }: Recipe, parameters: readonly ParamInfo[]): Fault[] {
  const names = parameters.filter((p) => !p.buffer).map((p) => p.name);
  const faults: Fault[] = [];
  const check = (prefixes: readonly string[], path: string) => {
    for (const [i, prefix] of prefixes.entries()) {
      if (names.some((name) => name.startsWith(prefix))) continue;
      const beginnings = [...new Set(names.map((name) => name.slice(0, prefix.length)))];
      const guess = nearest(prefix, beginnings);
      faults.push({
        code: 'no-such-parameter',
        path: `${path}.prefixes[${i}]`,
        given: `"${prefix}"`,
        expected: 'the beginning of a parameter’s name',
        fix: guess ? `Did you mean ${guess}?` : `There are ${names.slice(0, 3).join(', ')} and ${names.length - 3} more.`,
      });
    }
  };
  for (const [i, group] of groups.entries()) check(group.prefixes, `recipe.groups[${i}]`);
  if (freeze && freeze.epochs === undefined) check(freeze.prefixes, 'recipe.freeze');
  return faults;
}
