// What a command of `mayfly` is. A command gets its arguments as they were typed and answers with an exit code.

export type Settings = Readonly<
  Record<string, { readonly name: string; readonly fallback: string; readonly unit: string; readonly meaning: string }>
>;

export type CommandContext = {
  readonly environment: NodeJS.ProcessEnv;
  /** The table of config.ts, which only the mains import. */
  readonly settings: Settings;
};

export type Command = {
  readonly name: string;
  /** One line for `mayfly help`. */
  readonly summary: string;
  /** @returns the exit code, 0 to 255. */
  readonly run: (args: readonly string[], context: CommandContext) => Promise<number>;
};
