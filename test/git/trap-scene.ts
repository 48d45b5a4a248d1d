/** A checkout for a trap, what Slipway does with a checkout after the agent, and what a careless tool would do. */
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentMovedHead } from '../../src/git/agent-repository.ts';
import { bundleCommit } from '../../src/git/bundle.ts';
import { readWorkTreeChanges } from '../../src/git/commit-changes.ts';
import { findSecrets } from '../../src/git/find-secrets.ts';
import type { GitContext } from '../../src/git/git.ts';
import { isOnRemote, pushCommit } from '../../src/git/push-commit.ts';
import { rebaseCommit } from '../../src/git/rebase-commit.ts';
import type { Scene, Trap } from './git-traps.ts';
import {
  checkOut,
  commitAsPerson,
  commitSubmodule,
  must,
  mustCommit,
  openSandbox,
  plainGit,
  type Sandbox,
  writeFiles,
} from './sandbox.ts';

export interface TrapScene extends Scene, AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly context: GitContext;
  readonly base: string;
  /** Has the trap's program run? */
  sprung(): Promise<boolean>;
}

export async function openTrapScene(): Promise<TrapScene> {
  const sandbox = await openSandbox();
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '1\n', 'b.evil': 'b\n' });
  const library = join(sandbox.folder, 'library');
  plainGit(sandbox.folder, 'init', '--quiet', library);
  await writeFiles(library, { 'lib.evil': 'x\n' });
  plainGit(library, 'add', '--all');
  plainGit(library, 'commit', '--quiet', '--message', 'x');
  const base = await commitSubmodule(sandbox.remotePath, 'sub', plainGit(library, 'rev-parse', 'HEAD').trim());
  const context = await sandbox.context();
  await checkOut(sandbox, context);
  const markers = join(sandbox.folder, 'markers');
  await mkdir(markers);
  const trap = join(sandbox.folder, 'trap.sh');
  await writeFile(trap, `#!/bin/sh\n: > '${markers}/sprung'\n`);
  await chmod(trap, 0o755);
  const { work } = context.workspace.paths;
  return {
    ...{ sandbox, context, base, library, work, trap },
    git: join(work, '.git'),
    remote: sandbox.remotePath,
    sprung: async () => (await readdir(markers)).length > 0,
    [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose](),
  };
}

/** Everything that is done with a checkout after the agent, up to a push onto a branch that moved. */
export async function publish({ sandbox, context, base }: TrapScene): Promise<void> {
  must(await readWorkTreeChanges(context, { baseSha: base }));
  const { sha } = await mustCommit(context, base);
  await agentMovedHead(context, base);
  must(await findSecrets(context, { from: base, to: sha, rules: { registered: [], enabled: true, allowPaths: [] } }));
  must(await bundleCommit(context, { sha, baseSha: base }));
  must(await isOnRemote(context, { sha, branch: 'main' }));
  const human = await commitAsPerson(sandbox.remotePath, { 'human.txt': 'x\n' });
  const rebased = must(await rebaseCommit(context, { sha, onto: 'main' }));
  must(await pushCommit(context, { sha: rebased.sha, branch: 'main', expected: human }));
  must(await isOnRemote(context, { sha: rebased.sha, branch: 'main' }));
}

/** The same with git as a person types it. */
export function publishWithPlainGit({ work, remote }: TrapScene, { provoke, pushTo }: Trap): void {
  const tried = [
    ...(provoke ? [provoke.map((word) => (word === 'REMOTE' ? remote : word))] : []),
    ['add', '--all'],
    ['commit', '--message', 'x'],
    ['push', '--force', pushTo ?? remote, 'HEAD:refs/heads/plain'],
  ];
  for (const args of tried) {
    try {
      plainGit(work, ...args);
    } catch {
      // A trap may break the command that springs it.
    }
  }
}
