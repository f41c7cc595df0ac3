// What is predicted on against what was trained on: a network answers anything, also images of another kind.
import { type Fault, FaultList, VoxelbookError } from '../base/errors.js';
import type { WorkOptions } from '../base/progress.js';
import type { CaseFindings, CheckJob } from '../dataset/caseFindings.js';
import { rememberedFindings } from '../dataset/check.js';
import type { CaseFiles, DatasetJson } from '../dataset/dataset.js';
import { configuration } from '../plan/configuration.js';
import { normalisationNamed } from '../plan/normalisations.js';
import type { Fingerprint, Plan } from '../plan/plan.js';

export interface Trained {
  plan: Plan;
  configuration: string;
  dataset: DatasetJson;
  /** Of the data set that was trained on, where it is known. */
  fingerprint?: Fingerprint;
}

/**
 * Reads the images to predict before work starts.
 * @param folder shown paths start here
 * @returns warnings by case
 * @throws VoxelbookError with every fault of every case: files missing, surplus or damaged, other channels than were trained on
 */
export async function checkImages(
  cases: readonly CaseFiles[],
  folder: string,
  trained: Trained,
  options: WorkOptions = {},
): Promise<Record<string, Fault[]>> {
  const { channel_names, labels, label_order, regions_class_order, file_ending } = trained.dataset;
  const json = { channel_names, labels, label_order, regions_class_order, file_ending };
  const numbered = cases.every(({ images }) => images.every((file) => /_\d{4}$/.test(file.slice(0, -file_ending.length))));
  const jobs = cases.map(({ label: _, ...files }): CheckJob => {
    return { id: files.id, files, folder, json, numbered, labelled: false };
  });
  const found = await rememberedFindings(jobs, folder, options);
  const faults = found.flatMap((f) => f.faults);
  if (faults.length > 0) throw new VoxelbookError('these images cannot be predicted', faults);
  return Object.fromEntries(found.map((f, i) => [cases[i].id, [...f.warnings, ...differences(cases[i].id, f, trained)]]));
}

/** Spacing more than this often outside of what was trained on is said. */
const farSpacing = 3;

function differences(id: string, { grid, values }: CaseFindings, trained: Trained): Fault[] {
  const { plan, fingerprint } = trained;
  const config = configuration(plan, trained.configuration);
  const warnings = new FaultList();
  if (grid && !grid.picture && fingerprint) {
    const names = ['depth', 'height', 'width'];
    const far = grid.spacingMm.flatMap((mm, axis) => {
      const seen = fingerprint.spacings.map((s) => s[axis]);
      const [low, high] = [Math.min(...seen), Math.max(...seen)];
      if (mm >= low / farSpacing && mm <= high * farSpacing) return [];
      return [[`${+mm.toPrecision(4)} mm along ${names[axis]}`, `${+low.toPrecision(4)} to ${+high.toPrecision(4)} mm`]];
    });
    if (far.length > 0)
      warnings.add(
        'trained-spacing',
        id,
        `voxels of ${far.map(([mm]) => mm).join(', ')}`,
        `${far.map(([, range]) => range).join(', ')} as in training`,
        'The network has not seen such voxels; check the header, and look at the result.',
      );
  }
  for (const [c, { low, high }] of values.entries()) {
    const seen = plan.foreground_intensity_properties_per_channel[String(c)];
    if (!seen) continue;
    const name = trained.dataset.channel_names[String(c)] ?? `channel ${c}`;
    const [width, range] = [high - low, seen.percentile_99_5 - seen.percentile_00_5];
    // Only a fixed window makes absolute values mean something; a normalised image is told by its range alone, and generously.
    const windowed = normalisationNamed(config.normalization_schemes[c]).absolute ?? false;
    const outside = windowed && (high < seen.percentile_00_5 || low > seen.percentile_99_5);
    const odd = width < range / (windowed ? 10 : 1000) || (!windowed && width > 1000 * Math.max(range, 1e-6));
    if (width > 0 && range > 0 && (outside || odd))
      warnings.add(
        'trained-intensity',
        `${id} ${name}`,
        `values from ${+low.toPrecision(4)} to ${+high.toPrecision(4)}`,
        `about ${+seen.percentile_00_5.toPrecision(4)} to ${+seen.percentile_99_5.toPrecision(4)} in what was segmented in training`,
        'Check that this is the modality and the unit that was trained on.',
      );
  }
  return warnings.faults;
}
