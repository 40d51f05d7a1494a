// The one class of the generated schema that is used by name; encode.ts finds every other through it.
import type { StructCtor, Struct } from "capnp-es";

export const Config: StructCtor<Struct>;
