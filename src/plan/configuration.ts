// A configuration with everything it inherits.
import { VoxelbookError } from '../base/errors.js';
import type { Configuration, Plan } from './plan.js';

/**
 * Resolves `inherits_from` (nnU-Net v2: the child's keys override, recursively).
 * @throws VoxelbookError for unknown names and for circles
 */
export function configuration(plan: Plan, name: string, seen: readonly string[] = []): Configuration {
  const entry = plan.configurations[name];
  if (!entry || seen.includes(name))
    throw new VoxelbookError(`plan ${plan.plans_name} has no usable configuration ${name}`, {
      code: entry ? 'circular-inheritance' : 'no-configuration',
      path: `configurations.${name}`,
      given: entry ? `inherits from itself by ${[...seen, name].join(' → ')}` : 'missing',
      expected: entry ? 'a configuration that ends somewhere' : `one of ${Object.keys(plan.configurations).join(', ')}`,
      fix: entry ? 'Remove one inherits_from.' : 'Check the name.',
    });
  if (!entry.inherits_from) return entry;
  const { inherits_from: parent, ...own } = entry;
  return { ...configuration(plan, parent, [...seen, name]), ...own } as Configuration;
}
