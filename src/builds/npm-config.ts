/** The registries that an agent's package manager may read from, in the agent's home while it runs. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Workspace } from '../runtimes/runtime.ts';

export interface Registry {
  /** `https://host/path/` */
  readonly url: string;
  readonly token: string;
}

/** Files of an agent's home that do not outlive its build. */
export const HOME_SECRETS: readonly string[] = ['.npmrc'];

/** In place of whatever an earlier agent left there, be it a link. Which packages come from where says the repository. */
export async function writeNpmConfig(
  workspace: Pick<Workspace, 'paths'>,
  registries: readonly Registry[],
): Promise<void> {
  await removeNpmConfig(workspace);
  if (registries.length === 0) return;
  const lines = registries.map(({ url, token }) => `${url.replace(/^https?:/, '')}:_authToken=${token}\n`);
  const draft = join(workspace.paths.root, 'npmrc');
  await rm(draft, { recursive: true, force: true });
  await writeFile(draft, lines.join(''), { flag: 'wx', mode: 0o600 });
  await rename(draft, pathOf(workspace));
}

async function removeNpmConfig(workspace: Pick<Workspace, 'paths'>): Promise<void> {
  await rm(pathOf(workspace), { recursive: true, force: true });
}

function pathOf({ paths }: Pick<Workspace, 'paths'>): string {
  return join(paths.home, '.npmrc');
}
