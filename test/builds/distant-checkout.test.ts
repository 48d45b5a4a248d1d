/** The tasks of a checkout by the program that does them beside it: it answers as they do in this process. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openCheckout } from '../../src/builds/checkout-work.ts';
import { openDistantCheckout } from '../../src/builds/distant-checkout.ts';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import { openSandbox, plainGit, type Sandbox, writeFiles } from '../git/sandbox.ts';

let sandbox: Sandbox;

beforeEach(async () => {
  sandbox = await openSandbox();
});

afterEach(() => sandbox[Symbol.asyncDispose]());

async function open(buildId: string, signal = new AbortController().signal) {
  const context = await sandbox.context({ buildId, signal });
  const workspace = await openLocalRuntime({ folder: join(sandbox.folder, 'builds') }).open(buildId);
  const distant = { ...context, workspace };
  return { here: openCheckout(context), there: openDistantCheckout(distant), paths: workspace.paths };
}

const REQUEST = { branch: 'main', defaultBranch: 'main' };
const COMMIT = {
  baseSha: null,
  message: 'A change',
  trailers: { 'Slipway-Build': 'build_x' },
  date: new Date('2026-01-01T00:00:00Z'),
  author: { name: 'Slipway', email: 'slipway@localhost' },
};

test('from the clone to the push, with the very same answers', async () => {
  const { here, there, paths } = await open('build-1');
  const checkout = await there.prepareCheckout({ ...REQUEST, cache: sandbox.cache });
  expect(checkout).toEqual({ ok: true, baseSha: null, branchSha: null });
  expect(await there.createAgentRepository({ branch: 'main', baseSha: null })).toEqual({ ok: true });
  await writeFiles(paths.work, { 'a.txt': 'a\n', 'blob.bin': Buffer.from([0, 255, 1]) });
  expect(await there.agentMovedHead(null)).toBe(await here.agentMovedHead(null));
  const commit = await there.commitChanges(COMMIT);
  expect(commit).toEqual(await here.commitChanges(COMMIT));
  if (!commit.ok || !commit.changed) throw new Error('no commit');
  const { sha } = commit;
  const rules = { registered: ['a-secret-of-the-build'], enabled: true, allowPaths: [] };
  expect(await there.findSecrets({ from: null, to: sha, rules })).toEqual({ ok: true });
  const packed = await there.packCommit({ sha, maxBytes: 1024 ** 2 });
  expect(packed).toEqual(await here.packCommit({ sha, maxBytes: 1024 ** 2 }));
  expect(await there.pushCommit({ sha, branch: 'main', expected: null })).toEqual({ ok: true });
  expect(await there.isOnRemote({ sha, branch: 'main' })).toEqual({ ok: true, answer: true });
  expect(plainGit(sandbox.remotePath, 'rev-parse', 'main').trim()).toBe(sha);
  const files = await there.findDeclaredFiles({ globs: ['*.txt'], except: [], secrets: [] });
  expect(files.map(({ path, holdsSecret }) => [path, holdsSecret])).toEqual([['a.txt', false]]);
});

test('what a task throws is thrown here, with its words', async () => {
  const { there } = await open('build-1');
  await there.prepareCheckout({ ...REQUEST, cache: sandbox.cache });
  await expect(there.findDeclaredFiles({ globs: ['../x'], except: [], secrets: [] })).rejects.toThrow('artifact glob');
});

test('who is aborted gets the reason', async () => {
  const stop = new AbortController();
  const { there } = await open('build-1', stop.signal);
  stop.abort(new Error('enough'));
  await expect(there.prepareCheckout({ ...REQUEST, cache: sandbox.cache })).rejects.toThrow('enough');
});
