import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { waitFor } from '../support/wait-for.ts';
import { checkOut, commitAsPerson, mustCommit, openSandbox, plainGit } from './sandbox.ts';

const secondOf = async (path: string) => Math.floor((await stat(path)).ctimeMs / 1_000);

test('a change in the second of the checkout that keeps the size is committed, and the agent sees it', async () => {
  await using sandbox = await openSandbox();
  await commitAsPerson(sandbox.remotePath, { 'a.txt': 'boats' });
  // Changed within the second of its checkout: the first try of a few that is.
  for (let attempt = 1; attempt <= 10; attempt++) {
    const context = await sandbox.context({ buildId: `build-${attempt}` });
    const { baseSha } = await checkOut(sandbox, context);
    const file = join(context.workspace.paths.work, 'a.txt');
    const second = await secondOf(file);
    await writeFile(file, 'ships');
    if ((await secondOf(file)) !== second) continue;
    // git's own files, written from now on, carry another second than the change.
    await waitFor(() => Math.floor(Date.now() / 1_000) > second, { what: 'the next second' });
    expect(plainGit(context.workspace.paths.work, 'status', '--porcelain')).toBe(' M a.txt\n');
    const { sha } = await mustCommit(context, baseSha);
    expect(plainGit(context.workspace.paths.git, 'show', `${sha}:a.txt`)).toBe('ships');
    return;
  }
  throw new Error('no change came in the second of its checkout');
});
