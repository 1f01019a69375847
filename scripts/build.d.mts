export interface BuildOptions {
  /** Names of modules, parts behind the dot, or "dist"; without, all. */
  only?: readonly string[];
  /** Whether modules without optimisation will do. */
  fast?: boolean;
  /** Whether to build what is fresh, too. */
  force?: boolean;
  say?: (line: string) => void;
}
export function build(options?: BuildOptions): Promise<void>;
