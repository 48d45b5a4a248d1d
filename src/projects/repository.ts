/** Where a project's repository is, and what opens it. Only workers ask. */
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { GitCredentials } from '../git/askpass.ts';
import type { GitRemote } from '../git/git.ts';
import { ensureManagedRepository } from '../git/managed-repository.ts';
import type { Project } from './project.ts';

/** The bare repository of a project that brought none. */
export function managedRepositoryPath(config: Pick<Config, 'dataFolder'>, projectId: string): string {
  return join(config.dataFolder, 'repositories', `${projectId}.git`);
}

/** What git fetches from and pushes to; a managed repository is made if it is not there yet. */
export async function openRepository(
  config: Pick<Config, 'dataFolder'>,
  project: Project,
  credentials: GitCredentials | null,
): Promise<GitRemote> {
  if (project.repositoryUrl !== null) return { url: project.repositoryUrl, credentials };
  const path = managedRepositoryPath(config, project.id);
  await ensureManagedRepository(path, project.defaultBranch);
  return { url: path, credentials: null };
}
