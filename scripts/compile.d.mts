export interface ModuleEntry {
  /** The name of its file in build/, without the extension. */
  readonly name: string;
  /** The path of its entry, from the root. */
  readonly entry: string;
  /** The name of its target in asconfig.json. */
  readonly target: string;
}

export const root: string;
export const modules: readonly ModuleEntry[];
export function compile(module: ModuleEntry, options?: { fast?: boolean }): Promise<Buffer<ArrayBuffer>>;
export function sourcesOf(entry: string): Set<string>;
