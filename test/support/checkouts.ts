/** A checkout with a repository for the agent, as a build makes it, of a repository that lies beside the builds. */
import { dirname, join } from 'node:path';
import { createAgentRepository } from '../../src/git/agent-repository.ts';
import { prepareCheckout } from '../../src/git/clone-repository.ts';
import type { GitContext } from '../../src/git/git.ts';
import { ensureManagedRepository } from '../../src/git/managed-repository.ts';
import type { Workspace } from '../../src/runtimes/runtime.ts';
import { commitAsPerson, must } from '../git/sandbox.ts';

const BRANCH = 'main';

/** Of one repository for all that name the same `owner`: it has one commit, with the file `seed.txt`. */
export async function openCheckout(
  workspace: Workspace,
  owner: { readonly workspace: Workspace },
): Promise<{ readonly git: GitContext; readonly baseSha: string | null }> {
  const beside = dirname(owner.workspace.paths.root);
  const url = join(beside, 'remote.git');
  if (workspace === owner.workspace) {
    await ensureManagedRepository(url, BRANCH);
    await commitAsPerson(url, { 'seed.txt': 'seed\n' });
  }
  const git: GitContext = {
    workspace,
    remote: { url, credentials: null },
    signal: new AbortController().signal,
    timeoutMs: 20_000,
    environment: { PATH: process.env.PATH },
    allowLocal: true,
  };
  const cache = join(beside, 'cache.git');
  const { baseSha } = must(await prepareCheckout(git, { branch: BRANCH, defaultBranch: BRANCH, cache }));
  must(await createAgentRepository(git, { branch: BRANCH, baseSha }));
  return { git, baseSha };
}
