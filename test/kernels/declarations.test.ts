import assert from 'node:assert/strict';
import path from 'node:path';
import ts from 'typescript';

const kernel = (file: string) => import(new URL(`../../kernels/voxelbook/${file}`, import.meta.url).href);
const { joinedDeclarations } = await kernel('declarations.mjs');
const { libraries, nodeTypes } = await kernel('offered.mjs');

/** Everything declared globally with its type, and every module Node brings with its exports; what the compiler finds wrong. */
function declared(lib: string[], texts: Map<string, string>, nodeIndex: string) {
  const options: ts.CompilerOptions = {
    ...{ lib, types: [], target: ts.ScriptTarget.ES2024, module: ts.ModuleKind.Preserve, strict: true, noEmit: true },
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const main = path.join(path.dirname(nodeIndex), 'main.ts');
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (file, target, ...rest) => {
    const text = file === main ? "let x: Buffer; import fs from 'fs';" : texts.get(file);
    return text === undefined ? getSourceFile(file, target, ...rest) : ts.createSourceFile(file, text, target);
  };
  host.resolveTypeReferenceDirectiveReferences = (names) =>
    names.map(() => ({ resolvedTypeReferenceDirective: { primary: true, resolvedFileName: nodeIndex } }));
  const program = ts.createProgram([nodeIndex, main], options, host);
  const checker = program.getTypeChecker();
  const at = program.getSourceFile(main)!;
  const everything = ts.SymbolFlags.Value | ts.SymbolFlags.Type | ts.SymbolFlags.Namespace;
  const globals = checker
    .getSymbolsInScope(at, everything)
    .filter((s) => s.name !== 'x' && s.name !== 'fs')
    .map((s) => `${s.name}: ${checker.typeToString(checker.getTypeOfSymbolAtLocation(s, at))}`);
  const modules = checker.getAmbientModules().map(
    (m) =>
      `${m.name}: ${checker
        .getExportsOfModule(m)
        .map((s) => s.name)
        .sort()}`,
  );
  const faults = ts
    .getPreEmitDiagnostics(program)
    .map((d) => `${d.file?.fileName}: ${ts.flattenDiagnosticMessageText(d.messageText, ' ')}`);
  return { globals: globals.sort(), modules: modules.sort(), faults: faults.sort(), files: program.getSourceFiles().length };
}

describe('the declarations cells are checked against', () => {
  for (const major of [20, 22, 24])
    it(`joined into two files they say what they say apart, with Node ${major}'s`, () => {
      const nodeIndex = nodeTypes(major);
      const joined = joinedDeclarations(ts, libraries(), nodeIndex);
      const apart = declared(libraries(), new Map(), nodeIndex);
      const together = declared(joined.lib, joined.texts, nodeIndex);
      assert.ok(apart.globals.length > 400, `${apart.globals.length} names`);
      assert.deepEqual(together.globals, apart.globals);
      assert.deepEqual(together.modules, apart.modules);
      assert.deepEqual(together.faults, apart.faults);
      assert.ok(together.files < apart.files / 2, `${together.files} files of ${apart.files}`);
    }).timeout(120_000);
});
