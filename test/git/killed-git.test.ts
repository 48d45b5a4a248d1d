import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../../src/git/git.ts';
import { openSandbox } from './sandbox.ts';

test('a git that somebody kills is not one that has failed: what it did may have arrived', async () => {
  await using sandbox = await openSandbox();
  const context = await sandbox.context();
  const folder = context.workspace.paths.tmp;
  const program = join(folder, 'git');
  await writeFile(program, '#!/bin/sh\nkill -9 $$\n');
  await chmod(program, 0o755);
  const killed = await git({ ...context, environment: { PATH: folder } }, ['push']);
  expect(killed).toMatchObject({ ok: false, kind: 'ABORTED' });
});
