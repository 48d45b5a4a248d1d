import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, sep } from 'node:path';

const MODULES = `${sep}node_modules${sep}`;

/**
 * What a program that is named by an absolute path needs of its installation, for a sandbox: all of the `node_modules`
 * that it lies in, or else its folder. Nothing for a name, which is found in PATH, and for a program that is not there.
 */
export function programFiles(program: string): string[] {
  if (!isAbsolute(program)) return [];
  try {
    const path = realpathSync(program);
    const at = path.indexOf(MODULES);
    return [at === -1 ? dirname(path) : path.slice(0, at + MODULES.length - 1)];
  } catch {
    return [];
  }
}
