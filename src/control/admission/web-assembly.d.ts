// Node's global, as much of it as segments.ts uses: TypeScript declares it for browsers only.
declare namespace WebAssembly {
  type Module = { readonly [kind]: "module" };
  type Instance = { readonly exports: Readonly<Record<string, unknown>> };
  type Memory = { readonly buffer: ArrayBuffer };
  const kind: unique symbol;
  const Module: new (bytes: Uint8Array<ArrayBuffer>) => Module;
  const Instance: new (module: Module) => Instance;
  function validate(bytes: Uint8Array<ArrayBuffer>): boolean;
}
