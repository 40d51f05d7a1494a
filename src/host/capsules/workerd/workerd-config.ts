// The shape of workerd.capnp as plain objects: fields keep the schema's names, a union has at most one
// of its members, VOID stands for a member without a value. Only fields that this project may use appear.

/** The value of a union member that has none, such as `{ workerdDebugPort: VOID }`. */
export const VOID = null;
type Void = typeof VOID;

export type WorkerdConfig = {
  readonly services: readonly WorkerdService[];
  readonly sockets?: readonly WorkerdSocket[];
  readonly v8Flags?: readonly string[];
  readonly extensions?: readonly { readonly modules: readonly WorkerdExtensionModule[] }[];
};

export type WorkerdExtensionModule = { readonly name: string; readonly internal?: boolean; readonly esModule: string };

export type WorkerdHttpOptions = {
  readonly style?: "host" | "proxy";
  readonly cfBlobHeader?: string;
  readonly forwardedProtoHeader?: string;
  readonly injectRequestHeaders?: readonly { readonly name: string; readonly value?: string }[];
  readonly injectResponseHeaders?: readonly { readonly name: string; readonly value?: string }[];
};

export type WorkerdSocket = {
  readonly name: string;
  readonly address: string;
  readonly service: WorkerdDesignator;
  readonly http: WorkerdHttpOptions;
};

export type WorkerdDesignator = {
  readonly name: string;
  readonly entrypoint?: string;
  readonly props?: { readonly json: string };
};

export type WorkerdModule = { readonly name: string } & (
  | { readonly esModule: string }
  | { readonly commonJsModule: string }
  | { readonly text: string }
  | { readonly data: Uint8Array }
  | { readonly wasm: Uint8Array }
  | { readonly json: string }
  | { readonly bundled: string }
);

export type WorkerdBinding = { readonly name: string } & (
  | { readonly text: string }
  | { readonly json: string }
  | { readonly data: Uint8Array }
  | { readonly wasmModule: Uint8Array }
  | { readonly service: WorkerdDesignator }
  | { readonly kvNamespace: WorkerdDesignator }
  | { readonly r2Bucket: WorkerdDesignator }
  | { readonly queue: WorkerdDesignator }
  | { readonly analyticsEngine: WorkerdDesignator }
  | { readonly durableObjectNamespace: { readonly className: string; readonly serviceName?: string } }
  | { readonly wrapped: { readonly moduleName: string; readonly entrypoint?: string; readonly innerBindings: readonly WorkerdBinding[] } }
  | {
      readonly hyperdrive: {
        readonly designator: WorkerdDesignator;
        readonly database: string;
        readonly user: string;
        readonly password: string;
        readonly scheme: string;
      };
    }
  | { readonly workerdDebugPort: Void }
);

export type WorkerdWorker = (
  | { readonly modules: readonly WorkerdModule[] }
  /** Service-worker format: the source of one script. */
  | { readonly serviceWorkerScript: string }
) & {
  readonly compatibilityDate: string;
  readonly compatibilityFlags?: readonly string[];
  readonly bindings?: readonly WorkerdBinding[];
  /** workerd's default is "internet": state it always. */
  readonly globalOutbound: WorkerdDesignator;
  readonly cacheApiOutbound?: WorkerdDesignator;
  readonly durableObjectNamespaces?: readonly {
    readonly className: string;
    readonly uniqueKey?: string;
    readonly ephemeralLocal?: Void;
    readonly enableSql?: boolean;
  }[];
  readonly durableObjectStorage?: { readonly localDisk: string } | { readonly inMemory: Void };
  readonly tails?: readonly WorkerdDesignator[];
  readonly workflowsEngine?: {
    readonly actorClass: WorkerdDesignator;
    readonly workflows: readonly { readonly className: string; readonly name: string; readonly bindingService: WorkerdDesignator }[];
  };
};

export type WorkerdService = { readonly name: string } & (
  | { readonly worker: WorkerdWorker }
  | { readonly network: { readonly allow: readonly string[]; readonly deny?: readonly string[] } }
  | { readonly external: { readonly address: string } & ({ readonly http: WorkerdHttpOptions } | { readonly tcp: Record<string, never> }) }
  | { readonly disk: { readonly path: string; readonly writable?: boolean; readonly allowDotfiles?: boolean } }
  | {
      readonly assets: {
        /** A directory as the process sees it. */
        readonly path: string;
        readonly config: string;
        /** Without one, the date and flags below choose the behaviour. */
        readonly userWorker?: WorkerdDesignator;
        readonly compatibilityDate?: string;
        readonly compatibilityFlags?: readonly string[];
      };
    }
);
