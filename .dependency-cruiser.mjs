// The floors of the house (ARCHITECTURE.md): a room of src/ imports only from rooms listed before it, types included, and nothing goes
// round in a circle. Part of `npm run check`.
const rooms = [
  ...['base', 'tensor', 'volume', 'dataset', 'demo', 'plan', 'preprocess', 'augment', 'model', 'weights'],
  ...['train', 'predict', 'onnx', 'score', 'nnunet', 'report', 'paper', 'run'],
];

/** Doors that also show the names of one room above: a person looks for an embedded set, or for nnU-Net's summary, in one place. */
const doors = { dataset: 'demo', score: 'nnunet' };

const above = (room, except) => {
  const names = rooms.slice(rooms.indexOf(room) + 1).filter((name) => name !== except);
  return { path: `^src/(index[.]ts|(${names.join('|')})/)` };
};

export default {
  forbidden: [
    ...rooms.map((room) => ({
      name: `${room}-imports-upward`,
      severity: 'error',
      from: { path: `^src/${room}/`, ...(doors[room] && { pathNot: `^src/${room}/index[.]ts$` }) },
      to: above(room),
    })),
    ...Object.entries(doors).map(([room, shown]) => ({
      name: `${room}-imports-upward`,
      severity: 'error',
      from: { path: `^src/${room}/index[.]ts$` },
      to: above(room, shown),
    })),
    { name: 'room-not-listed', severity: 'error', from: { path: `^src/(?!(${rooms.join('|')})/)[^/]+/` }, to: {} },
    { name: 'circle', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    includeOnly: { path: '^src/' },
  },
};
