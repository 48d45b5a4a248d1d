/** Where a project's repository is, and what opens it. Only workers ask. */
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { readCredential } from '../credentials/credential.ts';
import type { MasterKey } from '../credentials/master-key.ts';
import type { Database } from '../database/database.ts';
import type { GitRemote } from '../git/git.ts';
import { ensureManagedRepository } from '../git/managed-repository.ts';
import { GIT_CREDENTIAL, gitCredentials } from './create-project.ts';
import type { Project } from './project.ts';

export interface RepositoryDeps {
  readonly db: Database;
  readonly masterKey: MasterKey;
  readonly config: Pick<Config, 'dataFolder'>;
}

/** The bare repository of a project that brought none. */
export function managedRepositoryPath(config: Pick<Config, 'dataFolder'>, projectId: string): string {
  return join(config.dataFolder, 'repositories', `${projectId}.git`);
}

/** What git fetches from and pushes to; a managed repository is made if it is not there yet. */
export async function openRepository(deps: RepositoryDeps, project: Project): Promise<GitRemote> {
  if (project.repositoryUrl === null) {
    const path = managedRepositoryPath(deps.config, project.id);
    await ensureManagedRepository(path, project.defaultBranch);
    return { url: path, credentials: null };
  }
  const value = await readCredential(deps, { projectId: project.id, name: GIT_CREDENTIAL });
  return { url: project.repositoryUrl, credentials: value === null ? null : gitCredentials.parse(JSON.parse(value)) };
}

/** Where this machine keeps fetched objects of the project for its builds to borrow. */
export function repositoryCachePath(config: Pick<Config, 'dataFolder'>, projectId: string): string {
  return join(config.dataFolder, 'cache', `${projectId}.git`);
}
