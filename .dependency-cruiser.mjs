// The floors of the house (ARCHITECTURE.md): a room of src/ imports only from rooms listed before it, types included, and nothing goes
// round in a circle. Part of `npm run check`.
export const rooms = [
  ...['base', 'tensor', 'volume', 'dataset', 'demo', 'plan', 'preprocess', 'augment', 'model', 'weights'],
  ...['train', 'predict', 'score', 'nnunet', 'report', 'paper', 'run'],
];

export default {
  forbidden: [
    ...rooms.map((room, i) => ({
      name: `${room}-imports-upward`,
      comment: `src/${room} may import from ${rooms.slice(0, i).join(', ') || 'no other room'} alone.`,
      severity: 'error',
      // The one exception: score's door also shows nnunet's names, for a person who scores looks for both in one place.
      from: { path: `^src/${room}/`, ...(room === 'score' && { pathNot: '^src/score/index[.]ts$' }) },
      to: { path: `^src/(${['index[.]ts', ...rooms.slice(i + 1).map((above) => `${above}/`)].join('|')})` },
    })),
    {
      name: 'score-index-imports-upward',
      severity: 'error',
      from: { path: '^src/score/index[.]ts$' },
      to: { path: '^src/(report|paper|run)/' },
    },
    { name: 'room-not-listed', severity: 'error', from: {}, to: { path: `^src/(?!(${rooms.join('|')})/)[^/]+/` } },
    { name: 'circle', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    includeOnly: { path: '^src/' },
  },
};
