import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createBareRepository } from './bare-repository.ts';

const SETTINGS = `\thooksPath = /dev/null
[receive]
\tdenyNonFastForwards = false
`;

/**
 * Makes sure that the bare repository of a project without a remote of its own exists at `path`. Safe to repeat and to
 * run in several processes at once; a repository that is there is not changed.
 */
export async function ensureManagedRepository(path: string, defaultBranch: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await createBareRepository(path, { branch: defaultBranch, settings: SETTINGS });
}
