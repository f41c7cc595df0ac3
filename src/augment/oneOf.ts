// One transform of several, each as likely as the others; its own probability counts after the choice (batchgeneratorsv2 `OneOfTransform`).
import { z } from 'zod';
import { definitions } from '../base/registry.js';
import { applyStep, drawEntry, type Entry, entryFaults, type Step, type Transform } from './transform.js';

/** Transforms that can be chosen among: not the one that cuts the patch, none of a cascade's, no further choice. */
const choosable = () =>
  definitions('transforms').flatMap(({ name, cascade }) => (cascade || name === 'spatial' || name === 'oneOf' ? [] : [name]));

const settings = z.strictObject({
  of: z
    .array(z.looseObject({ transform: z.string(), probability: z.number().optional() }))
    .min(1)
    .superRefine((entries, context) => {
      for (const [i, entry] of entries.entries())
        for (const { path, expected } of entryFaults(entry, choosable()))
          context.addIssue({ code: 'custom', path: [i, ...path], message: expected });
    }),
});

declare module './transform.js' {
  interface Transforms {
    oneOf: { of: readonly Entry[] };
  }
}

export interface OneOfDraw {
  transform: 'oneOf';
  step: Step;
}

export const oneOf: Transform<{ of: readonly Entry[] }, OneOfDraw> = {
  name: 'oneOf',
  settings,
  draw(random, { of }, context) {
    const step = drawEntry(random, random.choice(of), context);
    return step && { transform: 'oneOf', step };
  },
  apply: ({ step }, planes) => applyStep(step, planes),
};
