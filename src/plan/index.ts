// Fingerprint to plan: nnU-Net v2's rules.
export { architecture, unetEntry } from './architecture.js';
export { configuration } from './configuration.js';
export { type Described, describedFingerprint } from './describedFingerprint.js';
export { featureMapEstimate } from './featureMapEstimate.js';
export { caseFingerprint, type FingerprintOptions, fingerprint, joinFingerprints } from './fingerprint.js';
export { type FixedPlan, type FixedPlanName, fixed, fixedPlans } from './fixed.js';
export { inputChannels } from './inputChannels.js';
export { type Drawn, drawForeground, statistics } from './intensities.js';
export { fingerprintOf, knownFingerprint, nnunetDraws, storedFingerprint } from './knownFingerprint.js';
export { movedPlan } from './moved.js';
export {
  type NormalisationDefinition,
  type NormalisationInput,
  needsStatistics,
  normalisationCode,
  normalisationNamed,
  normalizationOf,
  normalize,
} from './normalisations.js';
export { type Overrides, override } from './override.js';
export type { Configuration, Fingerprint, IntensityStatistics, NormalisationEntry, Plan } from './plan.js';
export { planFaults, planFromJson } from './planJson.js';
export { plan, readerNameOf } from './planner.js';
export { type Planner, type PlannerDefinition, type PlanOptions, plannerEntry, plansNameBy } from './plannerDefinition.js';
export { type PlannerName, planners } from './planners.js';
export { type Resampling, resamplingOf } from './resampling.js';
export { show } from './show.js';
export {
  ownDifferences,
  ownPlan,
  type PlanFile,
  planDifferences,
  planFile,
  readFingerprint,
  readPlan,
  storePlan,
} from './stored.js';
export { type Topology, topology } from './topology.js';
