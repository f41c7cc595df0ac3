// The room of ONNX: trained networks as bundles that other programs run, and bundles as models that predict here.
export { type Bundle, bundleFile, bundleSchema, readBundle } from './bundle.js';
export { loadBundle } from './bundleModel.js';
export { type PageFile, pageFiles, writePage } from './demoPage.js';
export { type ExportModel, type ExportOptions, exportBundle } from './exportBundle.js';
export type { Graph } from './graph.js';
export { networkGraph } from './networkGraph.js';
