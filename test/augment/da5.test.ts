// nnU-Net's DA5: what each transform makes of fixed parameters, and the list of them, against batchgeneratorsv2's own.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { applyStep, type Entry, type Planes, pipeline, pipelines, type Step } from '../../src/augment/index.js';
import { Random } from '../../src/base/random.js';

const golden = JSON.parse(fs.readFileSync(new URL('./da5.json', import.meta.url), 'utf8'));

function source(name: string): Planes {
  const { shape, values } = golden.inputs[name];
  const whole = (shape.length === 2 ? [1, ...shape] : shape) as Planes['shape'];
  return { shape: whole, channels: [Float32Array.from(values)], seg: Int16Array.from(values, (_, i) => i) };
}

/** A stored case as one of our draws. */
function stepOf(c: any): Step {
  const flat = c.source === '2';
  const at = (values: number[], filler: number) => (flat ? [filler, ...values] : values);
  const step = (drawn: object) => ({ transform: c.kind as string, ...drawn });
  switch (c.kind) {
    case 'median':
      return step({ sizes: [c.size] });
    case 'blur':
      return step({ sigmas: [at(flat ? [c.sigma, c.sigma] : [c.sigma, c.sigma, c.sigma], 0)] });
    case 'sharpen':
      return step({ strengths: [c.strength] });
    case 'blankRectangles':
      return step({
        boxes: [
          c.boxes.map(([low, high]: [number[], number[]]) => ({
            start: at(low, 0),
            size: at(
              high.map((h, i) => h - low[i]),
              1,
            ),
          })),
        ],
      });
    case 'brightnessGradient':
    case 'localGamma':
      return step({ fields: [{ centre: c.centre, sd: c.sd, strength: c.strength, gamma: c.gamma }] });
    case 'shift':
      return step({ values: [c.value] });
    case 'contrast':
      return step({ factors: [c.factor], preserveRange: c.preserveRange });
    case 'gamma':
      return step({ inverted: true, retainStatistics: true, gammas: [c.gamma] });
    default:
      return step({ turns: c.turns, axes: c.axes, order: c.order });
  }
}

describe('nnU-Net’s DA5', () => {
  for (const native of [true, false])
    for (const c of golden.cases) {
      const { out, ...said } = c;
      it(`${native ? '' : 'plain: '}${JSON.stringify(said)}`, () => {
        const before = process.env.VOXELBOOK_NATIVE;
        if (!native) process.env.VOXELBOOK_NATIVE = '0';
        try {
          const given = source(c.source);
          const done = applyStep(stepOf(c), { ...given, channels: given.channels.map((plane) => plane.slice()) });
          const worst = Math.max(...Float32Array.from(out, (v: number, i) => Math.abs(Math.fround(v) - done.channels[0][i])));
          assert.ok(worst <= (c.kind === 'median' || c.axes || c.order ? 0 : 5e-6), `${worst}`);
          // Labels say which voxel they are of, and go where the image goes.
          const image = Float32Array.from(done.seg, (from) => given.channels[0][from]);
          if (c.axes || c.order) assert.deepEqual(image, done.channels[0]);
          else assert.deepEqual(done.seg, given.seg);
        } finally {
          if (before === undefined) delete process.env.VOXELBOOK_NATIVE;
          else process.env.VOXELBOOK_NATIVE = before;
        }
      });
    }

  it('is the trainer’s list, number for number', () => {
    assert.deepEqual(golden.transforms.flatMap(entryOf), pipelines.DA5);
  });

  for (const { patch, initial, equalAxes, edges } of golden.pipelines)
    it(`on ${patch.join(' × ')} draws what the trainer draws`, () => {
      const made = pipeline('DA5', { patchSize: patch });
      assert.deepEqual(made.initialPatchSize, initial);
      const random = new Random(`DA5 ${patch}`);
      const steps = Array.from({ length: 1500 }, () => made.draw(random, { channels: 2 })).flat() as any[];
      const of = (kind: string) => steps.filter((step) => step.transform === kind);
      const axis = (a: number) => a - (3 - patch.length);
      const turned = of('quarterTurns').flatMap((step) => step.axes.map(axis));
      assert.deepEqual([...new Set<number>(turned)].sort(), equalAxes);
      const kept = of('exchangeAxes').map(({ order }) => order.every((from: number, to: number) => from === to));
      if (equalAxes.length > 0)
        assert.ok(Math.abs(kept.filter(Boolean).length / kept.length - (equalAxes.length === 3 ? 1 / 6 : 1 / 2)) < 0.06);
      const boxes = of('blankRectangles').flatMap((step) => step.boxes.flat().filter(Boolean));
      for (const [a, [low, high]] of edges.entries()) {
        const sizes = boxes.map(({ size }) => size.slice(-patch.length)[a]);
        // The trainer's upper end is left out.
        assert.deepEqual([Math.min(...sizes), Math.max(...sizes)], [low, high - 1]);
      }
      const fields = [...of('localGamma'), ...of('brightnessGradient')].flatMap((step) => step.fields.filter(Boolean));
      for (const [a, side] of patch.entries()) {
        const within = (values: number[], low: number, high: number) =>
          assert.ok(values.every((v) => v >= low && v <= high) && Math.max(...values) - Math.min(...values) > 0.7 * (high - low));
        within(fields.map(({ sd }) => sd[a]), Math.floor(side / 6), side); // biome-ignore format: one line each
        within(fields.map(({ centre }) => centre[a] / side), -0.5, 1.5); // biome-ignore format: one line each
      }
    });

  it('chooses one of two, and then by its own probability', () => {
    const made = pipeline('DA5', { patchSize: [8, 8, 8] });
    const random = new Random('choice');
    const n = 6000;
    const chosen = Array.from({ length: n }, () => made.draw(random, { channels: 1 })).flat() as any[];
    for (const kind of ['median', 'blur', 'contrast']) {
      const share = chosen.filter(({ step }) => step?.transform === kind).length / n;
      assert.ok(Math.abs(share - (kind === 'contrast' ? 0.2 : 0.1)) < 0.015, `${kind}: ${share}`);
    }
  });

  it('refuses windows and boxes that no patch can have', () => {
    const wrong = [
      { transform: 'median', size: [2, 5000], perChannel: 1 },
      { transform: 'blankRectangles', count: [0, 4], edge: [0.1, 1.5], perChannel: 1 },
    ] as unknown as Entry[];
    assert.throws(
      () => pipeline(wrong, { patchSize: [8, 8, 8] }),
      /\[0\]\.size\.1: 5000.*\n.*\[1\]\.count\.0: 0.*\n.*\[1\]\.edge\.1: 1\.5/,
    );
  });

  it('a choice says what is wrong inside it', () => {
    const wrong = [
      { transform: 'oneOf', of: [{ transform: 'median', size: [2, 7], perChannel: 2 }, { transform: 'spatial' }] },
    ] as unknown as Entry[];
    assert.throws(
      () => pipeline(wrong, { patchSize: [8, 8, 8] }),
      (error: Error) => {
        assert.match(error.message, /augmentation\[0\]\.of\.0\.perChannel: 2; expected .*<=1/);
        assert.match(error.message, /augmentation\[0\]\.of\.1\.transform: "spatial"; expected noise, blur/);
        return true;
      },
    );
  });
});

/** The line of a pipeline that one of the trainer's transforms is. */
function entryOf(made: any): Entry[] {
  if (made.name === 'OneOfTransform') return [{ transform: 'oneOf', of: made.of.flatMap(entryOf) }];
  if (made.name === 'RandomTransform')
    return entryOf(made.transform).map((entry) => withProbability(entry, made.apply_probability));
  const t = made;
  const perChannel: number = t.p_per_channel;
  const field = { perChannel, spread: [1 / 6, 1] as const, centre: t.loc };
  switch (t.name) {
    case 'SpatialTransform':
      assert.deepEqual([t.p_elastic_deform, t.p_synchronize_scaling_across_axes, t.padding_value_seg], [0, 0, -1]);
      return [
        {
          transform: 'spatial',
          rotation: { probability: t.p_rotation, perAxis: t.p_rot_per_axis },
          scale: { probability: t.p_scaling, range: t.scaling, balanced: false, perAxis: 1, smallest: t.scaling[0] },
          interpolation: 'linear',
        },
      ];
    case 'Rot90Transform':
      assert.deepEqual([t.num_axis_combinations, t.num_rot_per_combination], [1, [0, 1, 2, 3]]);
      return [{ transform: 'quarterTurns' }];
    case 'TransposeAxesTransform':
      return [{ transform: 'exchangeAxes' }];
    case 'MedianFilterTransform':
      return [{ transform: 'median', perChannel, size: [t.filter_size[0], t.filter_size[1] - 1] }];
    case 'GaussianBlurTransform':
      return [{ transform: 'blur', perChannel, sigma: t.blur_sigma, ownAxes: !t.synchronize_axes }];
    case 'GaussianNoiseTransform':
      assert.deepEqual([perChannel, t.synchronize_channels], [1, true]);
      return [{ transform: 'noise', sd: t.noise_variance }];
    case 'BrightnessAdditiveTransform':
      return [{ transform: 'shift', perChannel, sd: t.sigma }];
    case 'ContrastTransform':
      return [{ transform: 'contrast', perChannel, range: t.contrast_range, preserveRange: t.preserve_range }];
    case 'SimulateLowResolutionTransform':
      return [{ transform: 'lowResolution', perChannel, scale: t.scale, interpolation: 'linear' }];
    case 'GammaTransform':
      assert.deepEqual([perChannel, t.p_retain_stats], [1, 1]);
      return [{ transform: 'gamma', range: t.gamma, inverted: t.p_invert_image === 1 }];
    case 'MirrorTransform':
      return [{ transform: 'mirror', perAxis: 0.5 }];
    case 'BlankRectangleTransform':
      return [
        {
          transform: 'blankRectangles',
          perChannel,
          count: [t.num_rectangles[0], t.num_rectangles[1] - 1],
          edge: [1 / 10, 1 / 3],
        },
      ];
    case 'BrightnessGradientAdditiveTransform':
      assert.equal(t.mean_centered, false);
      // The strengths are drawn by a function of the trainer, as the gammas below.
      return [{ transform: 'brightnessGradient', ...field, strength: [[-5, -1], [1, 5]] }]; // biome-ignore format: as it is drawn
    case 'LocalGammaTransform':
      return [{ transform: 'localGamma', ...field, gamma: [[0.01, 0.8], [1.5, 4]] }]; // biome-ignore format: as it is drawn
    case 'SharpeningTransform':
      assert.equal(t.p_clamp_intensities, 0);
      return [{ transform: 'sharpen', perChannel, strength: t.strength }];
    case 'ApplyRandomBinaryOperatorTransform':
      return [{ transform: 'binaryOperator', perLabel: t.p_per_label, radius: t.strel_size }];
    case 'RemoveRandomConnectedComponentFromOneHotEncodingTransform':
      return [{ transform: 'removeComponent', perLabel: t.p_per_label }];
    default:
      // What every pipeline does after its list.
      assert.ok(['RemoveLabelTransform', 'MoveSegAsOneHotToDataTransform'].includes(t.name), t.name);
      return [];
  }
}

const withProbability = (entry: Entry, probability: number): Entry => ({ ...entry, probability });
