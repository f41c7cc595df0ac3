// `voxelbook export-onnx`: trained runs as a bundle that ONNX Runtime runs.
import {
  type Command,
  checkpointOf,
  extensionHelp,
  extensionOption,
  interrupt,
  loadOwn,
  need,
  print,
  readRuns,
  workProgress,
} from './command.js';

export const exportOnnx: Command = {
  about: 'write trained runs (several are averaged) as a bundle of ONNX graphs with all that a prediction needs',
  takes: '<run | folder of runs | experiment.json> …',
  options: {
    ...extensionOption,
    out: { type: 'string' },
    checkpoint: { type: 'string' },
    overwrite: { type: 'boolean' },
  },
  help: {
    ...extensionHelp,
    out: 'folder of the bundle (default: <experiment>.bundle)',
    checkpoint: 'final or best weights (default: those the experiment predicts with)',
    overwrite: 'replace a bundle that stands there',
  },
  example: 'npx voxelbook export-onnx mednext.json --out mednext.bundle',
  async work(positionals, values) {
    const names = need(positionals, 'run');
    const { ofOneExperiment } = await import('../named.js');
    const { exportOnnx: write } = await import('../exportOnnx.js');
    const runs = ofOneExperiment(await readRuns(names, values));
    const { experiment } = runs[0].order;
    await loadOwn(experiment, values);
    const out = (values.out as string | undefined) ?? `${experiment.name.replace(/[^\w.-]+/g, '_')}.bundle`;
    const bundle = write(
      runs.map(({ folder }) => folder),
      out,
      {
        checkpoint: checkpointOf(values.checkpoint),
        overwrite: values.overwrite === true,
        signal: interrupt(),
        onProgress: workProgress,
      },
    );
    const bytes = bundle.graphs.reduce((sum, g) => sum + g.bytes + (g.data?.bytes ?? 0), 0);
    print(`${bundle.network}, ${bundle.graphs.length} graphs of ${(bytes / 1e6).toFixed(1)} MB together, written to ${out}`);
    print(`python ${out}/predict.py <images> <labels>, or npx voxelbook predict <images> <labels> --run ${out}`);
  },
};
