import { copyFile, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { prepareCheckout } from '../../src/git/clone-repository.ts';
import { startGitServer } from '../support/git-server.ts';
import { commitAsPerson, commitSubmodule, must, openSandbox, plainGit, type Sandbox } from './sandbox.ts';

let sandbox: Sandbox;
beforeEach(async () => {
  sandbox = await openSandbox();
});
afterEach(() => sandbox[Symbol.asyncDispose]());

const request = (branch: string) => ({ branch, defaultBranch: 'main', cache: sandbox.cache });

test('stands on the default branch when the branch is new', async () => {
  const tip = await commitAsPerson(sandbox.remotePath, { 'README.md': 'hello\n', 'src/a.txt': 'a\n' });
  const context = await sandbox.context();
  const checkout = await prepareCheckout(context, request('feature/x'));
  expect(checkout).toEqual({ ok: true, baseSha: tip, branchSha: null });
  const { work } = context.workspace.paths;
  expect(await readFile(join(work, 'src/a.txt'), 'utf8')).toBe('a\n');
  expect((await readdir(work)).sort()).toEqual(['README.md', 'src']);
});

test('stands on the branch when the remote has it, also where names nest', async () => {
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '1' });
  const tip = await commitAsPerson(sandbox.remotePath, { 'a.txt': '2' }, { branch: 'x', from: 'main' });
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '3' }, { branch: 'y/refs/heads/x', from: 'main' });
  const context = await sandbox.context();
  expect(await prepareCheckout(context, request('x'))).toEqual({ ok: true, baseSha: tip, branchSha: tip });
  expect(await readFile(join(context.workspace.paths.work, 'a.txt'), 'utf8')).toBe('2');
});

test('fetches only the branch that is needed', async () => {
  const needed = await commitAsPerson(sandbox.remotePath, { 'a.txt': '1' });
  const other = await commitAsPerson(sandbox.remotePath, { 'b.txt': '2' }, { branch: 'other', from: 'main' });
  must(await prepareCheckout(await sandbox.context(), request('new')));
  expect(plainGit(sandbox.cache, 'cat-file', '-t', needed).trim()).toBe('commit');
  expect(() => plainGit(sandbox.cache, 'cat-file', '-t', other)).toThrow();
});

test('an empty remote is an unborn branch', async () => {
  const context = await sandbox.context();
  const checkout = await prepareCheckout(context, request('main'));
  expect(checkout).toEqual({ ok: true, baseSha: null, branchSha: null });
  expect(await readdir(context.workspace.paths.work)).toEqual([]);
});

test('stands on the first commit of all when it arrives between two looks at the remote', async () => {
  const context = await sandbox.context();
  const { workspace } = context;
  let tip: string | null = null;
  const exec: typeof workspace.exec = async (command) => {
    const answer = await workspace.exec(command);
    if (command.argv.includes('ls-remote')) tip ??= await commitAsPerson(sandbox.remotePath, { 'a.txt': '1' });
    return answer;
  };
  const checkout = await prepareCheckout({ ...context, workspace: { ...workspace, exec } }, request('main'));
  expect(checkout).toEqual({ ok: true, baseSha: tip, branchSha: tip });
});

test('a remote with other branches only is named', async () => {
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '1' }, { branch: 'trunk' });
  const checkout = await prepareCheckout(await sandbox.context(), request('x'));
  expect(checkout).toMatchObject({ ok: false, kind: 'NOT_FOUND', message: expect.stringContaining('main') });
});

test('can be repeated and replaces what an earlier attempt left', async () => {
  const tip = await commitAsPerson(sandbox.remotePath, { 'a.txt': '1', 'b.txt': 'b' });
  const context = await sandbox.context();
  const { work, git } = context.workspace.paths;
  must(await prepareCheckout(context, request('x')));
  await writeFile(join(work, 'a.txt'), 'changed');
  await writeFile(join(work, 'left over'), '');
  await mkdir(join(work, 'locked'), { mode: 0o000 });
  await writeFile(join(git, 'index.lock'), '');
  await writeFile(join(git, 'HEAD'), 'half writ');
  expect(await prepareCheckout(context, request('x'))).toMatchObject({ baseSha: tip });
  expect((await readdir(work)).sort()).toEqual(['a.txt', 'b.txt']);
  expect(await readFile(join(work, 'a.txt'), 'utf8')).toBe('1');
});

test('a work folder that became a link is replaced, its target untouched', async () => {
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '1' });
  const context = await sandbox.context();
  const { work } = context.workspace.paths;
  const target = join(sandbox.folder, 'precious');
  await mkdir(target);
  await writeFile(join(target, 'keep.txt'), 'keep');
  await rm(work, { recursive: true });
  await symlink(target, work);
  must(await prepareCheckout(context, request('x')));
  expect(await readdir(target)).toEqual(['keep.txt']);
  expect(await readdir(work)).toEqual(['a.txt']);
});

test('builds of one project may do it at the same time with a cold cache', async () => {
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`f/${index}.txt`, `${index}\n`]));
  const tip = await commitAsPerson(sandbox.remotePath, files);
  const checkouts = await Promise.all(
    [1, 2, 3, 4, 5, 6].map(async (index) =>
      prepareCheckout(await sandbox.context({ buildId: `build-${index}` }), request(`x${index}`)),
    ),
  );
  expect(checkouts).toEqual(checkouts.map(() => ({ ok: true, baseSha: tip, branchSha: null })));
  expect(plainGit(sandbox.cache, 'fsck', '--connectivity-only')).not.toContain('missing');
  expect((await readdir(join(sandbox.cache, '..'))).filter((name) => name !== 'project.git')).toEqual([]);
});

test('a lock that a killed git left in the cache stops nobody', async () => {
  await commitAsPerson(sandbox.remotePath, { 'a.txt': '1' });
  must(await prepareCheckout(await sandbox.context(), request('x')));
  const [ref] = await readdir(join(sandbox.cache, 'refs/slipway'));
  for (const lock of [`refs/slipway/${ref}.lock`, 'packed-refs.lock', 'config.lock', 'HEAD.lock', 'FETCH_HEAD.lock']) {
    await writeFile(join(sandbox.cache, lock), '');
  }
  const tip = await commitAsPerson(sandbox.remotePath, { 'a.txt': '2' });
  expect(await prepareCheckout(await sandbox.context(), request('x'))).toMatchObject({ baseSha: tip });
});

test('many fetches do not fill the cache with packs, and old objects stay for those who borrow them', async () => {
  const first = await commitAsPerson(sandbox.remotePath, { 'a.txt': '0' });
  const borrower = await sandbox.context({ buildId: 'borrower' });
  must(await prepareCheckout(borrower, request('x')));
  const folder = join(sandbox.cache, 'objects/pack');
  const made = (await readdir(folder)).filter((name) => /\.(?:pack|idx)$/.test(name));
  for (let index = 0; index < 50; index += 1) {
    const hash = index.toString(16).padStart(40, '0');
    for (const name of made) await copyFile(join(folder, name), join(folder, name.replace(/[0-9a-f]{40}/, hash)));
  }
  // A new history, from which the first commit cannot be reached any more.
  plainGit(sandbox.remotePath, 'update-ref', '-d', 'refs/heads/main');
  await commitAsPerson(sandbox.remotePath, { 'b.txt': '1' });
  must(await prepareCheckout(await sandbox.context(), request('x')));
  const packs = (await readdir(folder)).filter((name) => name.endsWith('.pack'));
  expect(packs.length).toBeLessThan(10);
  expect(plainGit(borrower.workspace.paths.git, 'show', `${first}:a.txt`)).toBe('0');
});

test('submodules stay empty and LFS files stay pointers', async () => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n';
  await commitAsPerson(sandbox.remotePath, {
    '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
    'a.bin': pointer,
  });
  const tip = await commitSubmodule(sandbox.remotePath, 'sub');
  const context = await sandbox.context();
  expect(must(await prepareCheckout(context, request('x'))).baseSha).toBe(tip);
  expect(await readdir(join(context.workspace.paths.work, 'sub'))).toEqual([]);
  expect(await readFile(join(context.workspace.paths.work, 'a.bin'), 'utf8')).toBe(pointer);
});

test('over HTTP a known tip costs one request and no download', async () => {
  await using server = await startGitServer();
  const remote = await server.createRepository('app');
  const tip = await commitAsPerson(remote.path, { 'a.txt': '1' });
  const context = await sandbox.context({ remote: { url: remote.url, credentials: null } });
  must(await prepareCheckout(context, request('x')));
  const before = server.requests.length;
  expect(await prepareCheckout(context, request('x'))).toMatchObject({ baseSha: tip });
  const urls = server.requests.slice(before).map((entry) => entry.url);
  expect(urls).toEqual(['/app.git/info/refs?service=git-upload-pack', '/app.git/git-upload-pack']);
});

test('a missing repository, a dead host, a broken host and a silent host are told apart', async () => {
  const server = await startGitServer();
  const { url } = await server.createRepository('app');
  const ask = async (remote: string, timeoutMs = 20_000, signal = new AbortController().signal) => {
    const context = await sandbox.context({ remote: { url: remote, credentials: null }, timeoutMs, signal });
    const answer = await prepareCheckout(context, request('x'));
    return answer.ok ? 'ok' : answer.kind;
  };
  expect(await ask(`${server.url}/none.git`)).toBe('NOT_FOUND');
  expect(await ask(join(sandbox.folder, 'none.git'))).toBe('NOT_FOUND');
  server.mode = 'error';
  expect(await ask(url)).toBe('UNREACHABLE');
  server.mode = 'forbid';
  expect(await ask(url)).toBe('AUTH');
  server.mode = 'hang';
  expect(await ask(url, 300)).toBe('TIMEOUT');
  const abort = new AbortController();
  const asked = ask(url, 20_000, abort.signal);
  abort.abort();
  expect(await asked).toBe('ABORTED');
  await server.close();
  expect(await ask(url)).toBe('UNREACHABLE');
});

test('a remote may not be reached by another protocol than its own', async () => {
  for (const url of ['ext::touch pwned', `file://${sandbox.remotePath}`]) {
    const context = await sandbox.context({ remote: { url, credentials: null } });
    expect(await prepareCheckout(context, request('x'))).toMatchObject({ ok: false });
    expect(await readdir(context.workspace.paths.root)).not.toContain('pwned');
  }
});
