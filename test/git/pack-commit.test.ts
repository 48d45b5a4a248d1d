import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GitContext } from '../../src/git/git.ts';
import { packCommit, unpackCommit } from '../../src/git/pack-commit.ts';
import { isInWorkspace, pushCommit } from '../../src/git/push-commit.ts';
import { checkOut, commitAsPerson, mustCommit, openSandbox, plainGit, type Sandbox, writeFiles } from './sandbox.ts';

const LIMIT = { maxBytes: 1024 ** 2 };

let sandbox: Sandbox;
let context: GitContext;
let elsewhere: GitContext;

beforeEach(async () => {
  sandbox = await openSandbox();
  context = await sandbox.context();
  elsewhere = await sandbox.context({ buildId: 'elsewhere' });
});
afterEach(() => sandbox[Symbol.asyncDispose]());

async function change(base: string | null): Promise<string> {
  await checkOut(sandbox, context);
  await writeFiles(context.workspace.paths.work, { 'a.txt': `${'line\n'.repeat(1_000)}more\n`, 'b/c.txt': 'new\n' });
  return (await mustCommit(context, base)).sha;
}

async function packed(sha: string): Promise<Buffer> {
  const answer = await packCommit(context, { sha, ...LIMIT });
  if (!answer.ok) throw new Error(answer.message);
  return answer.pack;
}

test('a commit goes through its pack into an empty folder elsewhere, and from there to the remote', async () => {
  const base = await commitAsPerson(sandbox.remotePath, { 'a.txt': 'line\n'.repeat(1_000) });
  const sha = await change(base);
  const pack = await packed(sha);
  expect(pack.length).toBeLessThan(1_000);
  expect(await isInWorkspace(elsewhere, { sha })).toBe(false);
  const unpack = () => unpackCommit(elsewhere, { sha, pack, branches: ['main', 'main'] });
  expect(await unpack()).toEqual({ ok: true });
  expect(await unpack()).toEqual({ ok: true });
  expect(await pushCommit(elsewhere, { sha, branch: 'main', expected: base })).toEqual({ ok: true });
  plainGit(sandbox.remotePath, 'fsck', '--strict', '--connectivity-only');
  expect(plainGit(sandbox.remotePath, 'show', 'main:b/c.txt')).toBe('new\n');
});

test('so does the first commit of an empty repository', async () => {
  const sha = await change(null);
  const pack = await packed(sha);
  expect(await unpackCommit(elsewhere, { sha, pack, branches: ['main'] })).toEqual({ ok: true });
  expect(await pushCommit(elsewhere, { sha, branch: 'main', expected: null })).toEqual({ ok: true });
});

test('a commit whose base the remote has dropped cannot be had back', async () => {
  const sha = await change(await commitAsPerson(sandbox.remotePath, { 'a.txt': 'line\n'.repeat(1_000) }));
  const pack = await packed(sha);
  plainGit(sandbox.remotePath, 'update-ref', '-d', 'refs/heads/main');
  await commitAsPerson(sandbox.remotePath, { 'z.txt': 'another history\n' });
  const answer = await unpackCommit(elsewhere, { sha, pack, branches: ['main'] });
  expect(answer).toMatchObject({ ok: false, kind: 'NOT_FOUND' });
});

test('a pack that is cut off is no commit', async () => {
  const sha = await change(await commitAsPerson(sandbox.remotePath, { 'a.txt': 'line\n' }));
  const pack = (await packed(sha)).subarray(0, -8);
  expect(await unpackCommit(elsewhere, { sha, pack, branches: ['main'] })).toMatchObject({ ok: false });
  expect(await isInWorkspace(elsewhere, { sha })).toBe(false);
});

test('a commit that is too large is not packed', async () => {
  const sha = await change(null);
  expect(await packCommit(context, { sha, maxBytes: 16 })).toMatchObject({ ok: false, kind: 'FILE_LIMIT' });
});
