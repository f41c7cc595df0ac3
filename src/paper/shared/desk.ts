// A desk study: one paper's central claims at a size that two cores decide in an hour or two, with the analysis fixed before the run.
import type { Experiment } from '../../train/experiment.js';

/** A statement of the paper and how it is put to the test. */
export interface DeskClaim {
  /** The statement in the paper's sense. */
  says: string;
  variant: string;
  base: string;
  /**
   * `better`: the variant beats the base, tested two-sided against no difference. `no better`: it does not, tested one-sided against a
   * gain of the margin (non-inferiority of the base).
   */
  asks: 'better' | 'no better';
  /** What a smaller run showed before: mean difference over cases and its standard deviation. Power is computed from it. */
  pilot?: { difference: number; sd: number };
}

/** The analysis: everything that could be chosen after seeing the results, chosen before. */
export interface DeskPlan {
  /** Day on which it was fixed (ISO). */
  writtenOn: string;
  /** Mean over the classes of a case; higher is better. */
  metric: 'dsc' | 'nsd';
  /** Differences within ± margin count as none. */
  margin: number;
  marginWhy: string;
  /** Family-wise error of all claims together. */
  alpha: number;
  correction: 'holm';
  claims: DeskClaim[];
}

/** A study at desk scale: its plan, its experiments and the analysis that was written down before it ran. */
export interface DeskStudy {
  /** Name of the paper's study on the command line. */
  study: string;
  plan: DeskPlan;
  experiments: Experiment[];
  /** The trial that chose the rates, on other folds: one experiment a system and rate, which stand in its `labels`. */
  trial?: Experiment[];
}

/** An experiment at another learning rate. */
export const atRate = <E extends Experiment>(experiment: E, learningRate: number): E => ({
  ...experiment,
  recipe: { ...experiment.recipe, optimiser: { ...experiment.recipe.optimiser, learningRate } },
});

/** A system at each of some rates, as a trial names them. */
export const trialOf = (system: Experiment, rates: readonly number[]): Experiment[] =>
  rates.map((rate) => ({ ...atRate(system, rate), name: `${system.name} at ${rate}`, labels: { system: system.name, rate } }));

/** Every system at the rate that its trial chose. @param chosen rate of each system, by name */
export const atChosenRates = (systems: readonly Experiment[], chosen: Readonly<Record<string, number>>): Experiment[] =>
  systems.map((system) => atRate(system, chosen[system.name]));
