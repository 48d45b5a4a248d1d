import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { prepareCheckout } from '../../src/git/clone-repository.ts';
import type { GitContext } from '../../src/git/git.ts';
import { isOnRemote, pushCommit, remoteTip } from '../../src/git/push-commit.ts';
import { type GitServer, type GitServerRepository, startGitServer } from '../support/git-server.ts';
import { checkOut, commitAsPerson, mustCommit, openSandbox, plainGit, type Sandbox, writeFiles } from './sandbox.ts';

const credentials = { username: 'slipway-bot-token-user', password: 'hunter2/&secret value' };

let sandbox: Sandbox;
let server: GitServer;
let remote: GitServerRepository;
let context: GitContext;
let base: string;
let sha: string;

beforeEach(async () => {
  sandbox = await openSandbox();
  server = await startGitServer(credentials);
  remote = await server.createRepository('app');
  base = await commitAsPerson(remote.path, { 'a.txt': '1\n' });
  context = await sandbox.context({ remote: { url: remote.url, credentials } });
  await checkOut(sandbox, context);
  await writeFiles(context.workspace.paths.work, { 'b.txt': 'b\n' });
  sha = (await mustCommit(context, base)).sha;
});
afterEach(async () => {
  await server.close();
  await sandbox[Symbol.asyncDispose]();
});

const tipOf = (branch: string) => plainGit(remote.path, 'rev-parse', `refs/heads/${branch}`).trim();
const person = (files: Record<string, string>) => commitAsPerson(remote.path, files);

describe('a push', () => {
  test('to a branch that stands where it did, and again after it arrived', async () => {
    expect(await pushCommit(context, { sha, branch: 'main', expected: base })).toEqual({ ok: true });
    expect(tipOf('main')).toBe(sha);
    expect(await pushCommit(context, { sha, branch: 'main', expected: base })).toEqual({ ok: true });
    expect(await remoteTip(context, 'main')).toEqual({ ok: true, sha });
  });

  test('makes a branch that does not exist', async () => {
    expect(await remoteTip(context, 'feature/x')).toEqual({ ok: true, sha: null });
    expect(await pushCommit(context, { sha, branch: 'feature/x', expected: null })).toEqual({ ok: true });
    expect(tipOf('feature/x')).toBe(sha);
  });

  test('never overwrites what a person pushed meanwhile', async () => {
    const human = await person({ 'c.txt': 'c\n' });
    const stale = { ok: false, kind: 'STALE', message: expect.stringContaining('main') };
    expect(await pushCommit(context, { sha, branch: 'main', expected: base })).toEqual(stale);
    expect(await pushCommit(context, { sha, branch: 'main', expected: null })).toEqual(stale);
    expect(tipOf('main')).toBe(human);
  });

  test('that a hook refuses is REJECTED with the words of the hook', async () => {
    await remote.refusePushes('main is protected: open a pull request');
    const answer = await pushCommit(context, { sha, branch: 'main', expected: base });
    expect(answer).toMatchObject({ ok: false, kind: 'REJECTED' });
    expect(answer).toHaveProperty('message', expect.stringContaining('main is protected: open a pull request'));
    expect(tipOf('main')).toBe(base);
    await remote.refusePushes(null);
    expect(await pushCommit(context, { sha, branch: 'main', expected: base })).toEqual({ ok: true });
  });

  test('whose answer was lost is found on the remote, and sent again does no harm', async () => {
    server.mode = 'lose-push';
    expect(await pushCommit(context, { sha, branch: 'main', expected: base })).toMatchObject({ kind: 'UNREACHABLE' });
    server.mode = 'answer';
    expect(await isOnRemote(context, { sha, branch: 'main' })).toEqual({ ok: true, answer: true });
    expect(await pushCommit(context, { sha, branch: 'main', expected: base })).toEqual({ ok: true });
  });

  test.each([
    ['error', 'UNREACHABLE'],
    ['forbid', 'AUTH'],
    ['hang', 'TIMEOUT'],
  ] as const)('to a host in the state %s is %s', async (mode, kind) => {
    server.mode = mode;
    const answer = await pushCommit({ ...context, timeoutMs: 500 }, { sha, branch: 'main', expected: base });
    expect(answer).toMatchObject({ ok: false, kind });
  });

  test('to a repository on this machine keeps the same promises', async () => {
    const local = { ...context, remote: { url: remote.path, credentials: null } };
    await remote.refusePushes('no');
    const push = () => pushCommit(local, { sha, branch: 'main', expected: base });
    expect(await push()).toMatchObject({ kind: 'REJECTED', message: expect.stringContaining('no') });
    await remote.refusePushes(null);
    expect(await push()).toEqual({ ok: true });
    const human = await person({ 'c.txt': 'c\n' });
    expect(await pushCommit(local, { sha: base, branch: 'main', expected: sha })).toMatchObject({ kind: 'STALE' });
    expect(tipOf('main')).toBe(human);
  });

  test('that meets the lock of another push may be tried again', async () => {
    await writeFile(join(remote.path, 'refs/heads/main.lock'), '');
    expect(await pushCommit(context, { sha, branch: 'main', expected: base })).toMatchObject({ kind: 'UNREACHABLE' });
  });
});

describe('is a commit on the remote', () => {
  test('before, after, and when more came on top of it', async () => {
    const ask = () => isOnRemote(context, { sha, branch: 'main' });
    expect(await ask()).toEqual({ ok: true, answer: false });
    await pushCommit(context, { sha, branch: 'main', expected: base });
    expect(await ask()).toEqual({ ok: true, answer: true });
    await person({ 'd.txt': 'd\n' });
    expect(await ask()).toEqual({ ok: true, answer: true });
    expect(await isOnRemote(context, { sha, branch: 'none' })).toEqual({ ok: true, answer: false });
  });

  test('another machine, with an empty git folder, gets the same answers', async () => {
    const other = await sandbox.context({ buildId: 'other', remote: { url: remote.url, credentials } });
    const ask = () => isOnRemote(other, { sha, branch: 'main' });
    expect(await ask()).toEqual({ ok: true, answer: false });
    await pushCommit(context, { sha, branch: 'main', expected: base });
    await person({ 'd.txt': 'd\n' });
    expect(await ask()).toEqual({ ok: true, answer: true });
  });

  test('no answer when the remote does not answer', async () => {
    server.mode = 'error';
    expect(await isOnRemote(context, { sha, branch: 'main' })).toMatchObject({ ok: false, kind: 'UNREACHABLE' });
  });
});

describe('credentials', () => {
  test('that are wrong or missing are AUTH, and no message shows them', async () => {
    const wrong = { username: credentials.username, password: 'wr0ng-password' };
    for (const given of [wrong, null]) {
      const asked = { ...context, remote: { url: remote.url, credentials: given } };
      const answer = await pushCommit(asked, { sha, branch: 'main', expected: base });
      expect(answer).toMatchObject({ ok: false, kind: 'AUTH' });
      expect(JSON.stringify(answer)).not.toMatch(/wr0ng-password|slipway-bot-token-user/);
    }
  });

  test('are in no argument of git and in no file', async () => {
    const { log, PATH } = await recordGit(sandbox.folder);
    const recorded = { ...context, environment: { PATH } };
    await prepareCheckout(recorded, { branch: 'main', defaultBranch: 'main', cache: sandbox.cache });
    await writeFiles(context.workspace.paths.work, { 'b.txt': 'b\n' });
    await mustCommit(recorded, base);
    expect(await pushCommit(recorded, { sha, branch: 'main', expected: base })).toEqual({ ok: true });
    expect(await readFile(log, 'utf8')).toContain('push --porcelain');
    expect(server.requests.some((request) => request.authorized)).toBe(true);
    const { username, password } = credentials;
    const pair = Buffer.from(`${username}:${password}`).toString('base64');
    const texts = [username, password, encodeURIComponent(password), pair];
    expect(await filesThatHold(sandbox.folder, texts)).toEqual([]);
    // The search does find what is there.
    await writeFile(join(context.workspace.paths.git, 'leak'), `x${password}`);
    expect(await filesThatHold(sandbox.folder, texts)).toEqual([join(context.workspace.paths.git, 'leak')]);
  });

  test('are not repeated when the remote prints them', async () => {
    await remote.refusePushes(`you sent ${credentials.password}`);
    const answer = await pushCommit(context, { sha, branch: 'main', expected: base });
    expect(answer).toHaveProperty('message', expect.stringContaining('you sent ***'));
  });

  test('are only given to the host that they belong to', async () => {
    await using other = await startGitServer({ password: 'else' });
    await other.createRepository('app');
    server.redirectTo = other.url;
    expect(await remoteTip(context, 'main')).toMatchObject({ ok: false, kind: 'AUTH' });
    expect(other.requests.length).toBeGreaterThan(0);
    expect(other.requests.filter((request) => request.carriedCredentials)).toEqual([]);
  });
});

/** A `git` on PATH that notes its arguments before it runs the real one. */
async function recordGit(folder: string): Promise<{ log: string; PATH: string }> {
  const bin = join(folder, 'bin');
  const log = join(folder, 'argv.log');
  await mkdir(bin);
  const PATH = process.env.PATH ?? '';
  await writeFile(join(bin, 'git'), `#!/bin/sh\nprintf '%s ' "$@" >> '${log}'\nPATH='${PATH}' exec git "$@"\n`);
  await chmod(join(bin, 'git'), 0o755);
  return { log, PATH: `${bin}:${PATH}` };
}

async function filesThatHold(folder: string, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile()) continue;
    const content = await readFile(path, 'latin1');
    if (texts.some((text) => content.includes(text))) found.push(path);
  }
  return found;
}
