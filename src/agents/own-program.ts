import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Workspace } from '../runtimes/runtime.ts';

/** Published, the sources are JavaScript. */
const EXTENSION = extname(import.meta.url);

export interface OwnProgram {
  /** As a run of this workspace starts it. */
  argv(workspace: Pick<Workspace, 'programs'>): [string, string];
  /** All that it reads: in a sandbox nothing else of Slipway is there. */
  readonly files: readonly string[];
}

/** A program of this folder that is started by Node; `imports` are the modules that it loads, without extension. */
export function ownProgram(name: string, imports: readonly string[]): OwnProgram {
  const source = (module: string) => fileURLToPath(new URL(`${module}${EXTENSION}`, import.meta.url));
  const path = source(name);
  // package.json says that the sources are modules.
  const manifest = fileURLToPath(new URL('../../package.json', import.meta.url));
  return {
    argv: ({ programs }) => [programs.start.node, programs.start.find(path)],
    files: [path, ...imports.map(source), manifest],
  };
}
