// What editors and readers get of the schemas: JSON schemas, and a page that lists every key. Made by `npm run schemas`; a test holds the
// files in environment/docs against what is made here.
import { z } from 'zod';
import { definitions, partName, withBuiltInAlone } from '../base/registry.js';
import { aboutOf, unwrapped } from '../base/schema.js';
import { networkSettings } from '../model/settings.js';
import { bundleSchema } from '../onnx/index.js';
import { experimentSchema } from '../train/experimentSchema.js';
import { siteSchema } from './siteSchema.js';

type Json = Record<string, unknown>;

/** The files of environment/docs by name. */
export const referenceFiles = (): Record<string, string> =>
  withBuiltInAlone(() => ({
    'experiment.schema.json': jsonText(experimentJsonSchema()),
    'site.schema.json': jsonText(jsonSchema(siteSchema, 'Site of a Slurm cluster')),
    'bundle.schema.json': jsonText(jsonSchema(bundleSchema(), 'Bundle of a trained model')),
    'experiment.md': page(),
  }));

const jsonText = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

function jsonSchema(schema: z.ZodType, title: string): Json {
  const made = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    // What only the page says is no key of JSON Schema.
    override({ jsonSchema: node }) {
      for (const key of ['unit', 'defaultText', 'example']) delete (node as Json)[key];
    },
  });
  return { title, ...made };
}

/** An experiment; where a module of "extensions" may bring a part, any name is allowed, and its module checks the rest. */
function experimentJsonSchema(): Json {
  const one = jsonSchema(experimentSchema(), 'Experiment');
  const { planner, scoring } = one.properties as { planner: { anyOf: Json[] }; scoring: { properties: { metrics: Json } } };
  planner.anyOf.push({ ...broughtIn, type: 'string', pattern: partName.source });
  const { metrics } = scoring.properties;
  metrics.items = { anyOf: [metrics.items, { ...broughtIn, type: 'string', pattern: partName.source }] };
  allowOwnParts(one);
  return one;
}

const broughtIn = { description: 'One that a module of "extensions" brings' };

/** Beside the parts that are told apart by their name stands one of any other name, everywhere below a node. */
function allowOwnParts(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  for (const below of Object.values(node)) allowOwnParts(below);
  const forms = (node as Json).oneOf as { properties?: Record<string, Json> }[] | undefined;
  const key = ['kind', 'transform', 'network'].find((k) => forms?.every(({ properties }) => properties?.[k]?.const));
  if (!forms || !key) return;
  const known = forms.map(({ properties }) => properties![key].const);
  const name = { type: 'string', pattern: partName.source, not: { enum: known } };
  forms.push({ ...broughtIn, type: 'object', properties: { [key]: name }, required: [key] } as never);
}

/** Every key of an experiment and a site: what it means, default, unit, values and an example. */
function page(): string {
  const shape = experimentSchema().shape as Record<string, z.ZodType>;
  const recipe = unwrapped(shape.recipe) as z.ZodObject;
  const kinds = [
    ['optimisers', 'recipe.optimiser'],
    ['schedules', 'recipe.schedule'],
    ['losses', 'recipe.loss'],
    ['hooks', 'recipe.hooks[]'],
    ['samplers', 'recipe.sampler'],
    ['postprocessing', 'prediction.postprocessing[]'],
    ['planners', 'planner'],
  ] as const;
  return [
    '# Keys of an experiment',
    '',
    '<!-- Made by npm run schemas from the schemas that the code checks with. -->',
    '',
    'An experiment is a JSON file; `"$schema": "…/environment/docs/experiment.schema.json"` lets an editor complete it. Only `dataset` and `model`',
    'must be there; paths are relative to the file. `npx voxelbook experiment <data set> --network mednext` writes one with everything spelled out.',
    '',
    '```json',
    '{ "dataset": "Dataset027_ACDC", "model": { "network": "mednext", "size": "S", "kernel": 3 } }',
    '```',
    '',
    ...section('The experiment', shape, ''),
    ...section('`recipe`', recipe.shape, 'recipe.'),
    ...kinds.flatMap(([kind, at]) =>
      (definitions(kind) as { name: string; settings: z.ZodObject }[]).flatMap(({ name, settings }) =>
        section(`\`${at}\` with \`"kind": "${name}"\``, settings.shape, ''),
      ),
    ),
    ...transforms(),
    ...section('`prediction`', (unwrapped(shape.prediction) as z.ZodObject).shape, 'prediction.'),
    ...section('`scoring`', (unwrapped(shape.scoring) as z.ZodObject).shape, 'scoring.'),
    '# Networks',
    '',
    ...Object.entries(networkSettings).flatMap(([name, schema]) => section(`\`"network": "${name}"\``, schema.shape, '')),
    '# Keys of site.json',
    '',
    ...section('', siteSchema.shape, ''),
  ].join('\n');
}

/** What a line of a pipeline may set; the JSON schema says of which form each is. */
function transforms(): string[] {
  const rows = definitions('transforms').map(({ name, settings }) => {
    const keys = Object.entries(settings.shape).map(([key, s]) =>
      isOptional(s as z.ZodType) ? `\`${key}\` or none` : `\`${key}\``,
    );
    return `| \`${name}\` | ${keys.join(', ')} |`;
  });
  const title = '## A line of `recipe.augmentation[]`';
  return [
    title,
    '',
    '`probability` (of being applied to a sample at all; 1) may stand in every line.',
    '',
    '| `transform` | settings |',
    '|---|---|',
    ...rows,
    '',
  ];
}

function section(title: string, shape: Record<string, unknown>, at: string): string[] {
  const rows = Object.entries(shape as Record<string, z.ZodType>)
    .filter(([key]) => key !== 'network' && key !== 'kind')
    .flatMap(([key, schema]) => [[key, schema] as const, ...nested(key, schema)])
    .map(([key, schema]) => {
      const about = aboutOf(schema);
      const fallback =
        about.default !== undefined ? code(about.default) : (about.defaultText ?? (isOptional(schema) ? 'none' : 'required'));
      const cells = [`\`${at}${key}\``, about.description ?? '', valuesOf(schema), about.unit ?? '', fallback];
      const example = about.example ?? about.default;
      return `| ${[...cells, example === undefined ? '' : code(example)].map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;
    });
  if (rows.length === 0) return [];
  return [
    ...(title ? [`## ${title}`, ''] : []),
    '| key | meaning | values | unit | default | example |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ];
}

/** Keys of an object that has no section of its own. */
function nested(key: string, schema: z.ZodType): [string, z.ZodType][] {
  const plain = unwrapped(schema);
  if (!(plain instanceof z.ZodObject) || ['recipe', 'prediction', 'scoring', 'previousStage'].includes(key)) return [];
  return Object.entries(plain.shape).map(([k, s]) => [`${key}.${k}`, s as z.ZodType]);
}

const code = (value: unknown) => `\`${JSON.stringify(value)}\``;
const isOptional = (schema: z.ZodType) => schema.safeParse(undefined).success;

/** The words a wrong value is answered with. */
function valuesOf(schema: z.ZodType): string {
  const plain = unwrapped(schema)!;
  if (plain instanceof z.ZodObject) return 'an object, see below';
  const wrong = plain.safeParse(Symbol('wrong'));
  return wrong.success ? 'any' : wrong.error.issues[0].message;
}
