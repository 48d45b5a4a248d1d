/** Where a repository may be: what is refused when a project is made, and what when a worker connects (H99-H110). */
import { existsSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareCheckout } from '../../src/git/clone-repository.ts';
import { remoteTip } from '../../src/git/push-commit.ts';
import { createProject } from '../../src/projects/create-project.ts';
import { lookupTo, openReceiver } from '../callbacks/receiver.ts';
import { commitAsPerson, openSandbox, type Sandbox } from '../git/sandbox.ts';
import { type GitServer, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

const FORBIDDEN_ADDRESSES = [
  ...[
    '169.254.169.254',
    '169.254.170.2',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '224.0.0.1',
    '255.255.255.255',
  ],
  ...[
    'fe80::1',
    'ff02::1',
    'fd00:ec2::254',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '::ffff:169.254.169.254',
  ],
];
const LOCAL_ADDRESSES = ['127.0.0.1', '127.1.2.3', '0.0.0.0', '::1', '::', '::ffff:127.0.0.1'];
const PRIVATE_ADDRESSES = [
  '10.0.0.1',
  '172.16.0.1',
  '192.168.1.1',
  '100.64.0.1',
  'fd12:3456::1',
  '2606:4700:4700::1111',
];

const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);

describe('when a project is made', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await openTestStack();
  });
  afterAll(() => stack[Symbol.asyncDispose]());

  const create = (repositoryUrl: string, localRepositories = false) => {
    const config = { ...stack.orchestrator.config, localRepositories, callbackAllowPrivate: false };
    const name = `p${Math.random().toString(36).slice(2)}`;
    return createProject({ ...stack.orchestrator, config }, { name, repositoryUrl }, 'test');
  };
  const denied = { code: 'REPOSITORY_URL_DENIED', issues: [{ path: ['input', 'repositoryUrl'] }] };

  test.each([
    ...['ext::sh -c id', 'file:///etc', 'fd::17/x', 'git://example.com/a.git', '-oProxyCommand=id', '--upload-pack=id'],
    ...[
      'ssh://-oProxyCommand=id/app',
      'git@-oProxyCommand=id:app',
      'https://user:secret@example.com/a.git',
      '/etc',
      '',
    ],
    ...['https://example.com', 'https://example.com/a\nb', 'javascript:alert(1)', 'ftp://example.com/a.git'],
    ...FORBIDDEN_ADDRESSES.map((address) => `https://${bracketed(address)}/a.git`),
    ...LOCAL_ADDRESSES.map((address) => `http://${bracketed(address)}:8080/a.git`),
    ...['http://localhost/a.git', 'http://git.localhost/a.git', 'http://2130706433/a.git', 'http://0x7f.1/a.git'],
    ...['http://127.1/a.git', 'http://0177.0.0.1/a.git', 'http://127.0.0.1./a.git', 'http://①②⑦.0.0.1/a.git'],
    ...['ssh://git@127.0.0.1/a.git', 'git@localhost:a.git', 'git@169.254.169.254:a.git', 'ssh://0x7f000001/a.git'],
  ])('%j is REPOSITORY_URL_DENIED', async (url) => {
    await expect(create(url)).rejects.toMatchObject(denied);
  });

  test.each([
    ...PRIVATE_ADDRESSES.map((address) => `https://${bracketed(address)}/a.git`),
    ...['https://git.corp.internal/a.git', 'ssh://git@10.0.0.1:2222/a.git', 'git@git.local:a.git'],
  ])('%s, in a network of one’s own, is fine', async (url) => {
    expect(await create(url)).toMatchObject({ repositoryUrl: url });
  });

  test('this machine is fine where the operator says so, what no server has never', async () => {
    expect(await create('http://127.0.0.1:8080/a.git', true)).toMatchObject({ status: 'ACTIVE' });
    await expect(create('http://169.254.169.254/a.git', true)).rejects.toMatchObject(denied);
  });

  test.each([
    ...['--upload-pack=x', '-c', '+main', 'HEAD', '@', 'a..b', 'main:refs/heads/prod', 'x.lock', 'x'.repeat(300)],
    ...['a\0b', '/a', 'FETCH_HEAD', 'refs/heads/x', '--force', ''],
  ])('the branch %j is INVALID_REF', async (defaultBranch) => {
    await expect(createProject(stack.orchestrator, { name: 'x', defaultBranch }, 'test')).rejects.toMatchObject({
      code: 'INVALID_REF',
      issues: [{ path: ['input', 'defaultBranch'] }],
    });
  });
});

describe('when a worker connects', () => {
  let sandbox: Sandbox;
  let server: GitServer;
  let sha: string;
  let port: string;

  beforeAll(async () => {
    sandbox = await openSandbox();
    server = await startGitServer({ username: 'bot', password: 'hunter2hunter2' });
    const repository = await server.createRepository('app');
    sha = await commitAsPerson(repository.path, { 'a.txt': '1\n' });
    port = new URL(server.url).port;
  });
  afterAll(async () => {
    await server.close();
    await sandbox[Symbol.asyncDispose]();
  });

  async function tip(
    host: string,
    { allowLocal = false, lookup }: { allowLocal?: boolean; lookup?: LookupFunction } = {},
  ) {
    const remote = { url: `http://${host}/app`, credentials: { username: 'bot', password: 'hunter2hunter2' } };
    const context = await sandbox.context({ remote, allowLocal, ...(lookup ? { lookup } : {}) });
    return remoteTip(context, 'main');
  }

  test.each([...FORBIDDEN_ADDRESSES, ...LOCAL_ADDRESSES])('a name that stands for %s is refused', async (address) => {
    const seen = server.requests.length;
    expect(await tip(`git.example.com:${port}`, { lookup: lookupTo('10.0.0.1', address) })).toMatchObject({
      ok: false,
      kind: 'FORBIDDEN',
    });
    expect(server.requests.length).toBe(seen);
  });

  test('git connects to the address that was looked at, and does not ask the name again', async () => {
    let asked = 0;
    const lookup: LookupFunction = (hostname, options, done) => {
      asked += 1;
      lookupTo('127.0.0.1')(hostname, options, done);
    };
    // No resolver knows this name: git can only have the address from us.
    expect(await tip(`git.example.invalid:${port}`, { allowLocal: true, lookup })).toEqual({ ok: true, sha });
    expect(asked).toBe(1);
  });

  test('a redirect is followed to where a remote may be, and nowhere else', async () => {
    await using moved = await openReceiver({
      answer: (response, { path }) =>
        response.writeHead(301, { location: `${target}${path.replace('/app', suffix)}` }).end(),
    });
    await using internal = await openReceiver();
    let target = server.url;
    let suffix = '/app';
    expect(await tip(`127.0.0.1:${moved.port}`, { allowLocal: true })).toMatchObject({ kind: 'AUTH' });
    const lookup: LookupFunction = (hostname, options, done) =>
      lookupTo(hostname === 'old.example.com' ? '127.0.0.1' : '169.254.169.254')(hostname, options, done);
    for (const [to, path] of [
      [`http://127.0.0.1:${internal.port}`, '/metadata?x='],
      ['http://169.254.169.254', '/app'],
      ['http://new.example.com', '/app'],
      ['file:///etc', ''],
      ['ext::sh -c id #', ''],
      ['gopher://127.0.0.1:6379', '/app'],
    ] as const) {
      [target, suffix] = [to, path];
      expect(await tip(`old.example.com:${moved.port}`, { allowLocal: true, lookup }), to).toMatchObject({
        ok: false,
        kind: 'FORBIDDEN',
      });
    }
    expect(internal.received).toEqual([]);
    expect(existsSync(join(sandbox.folder, 'pwned'))).toBe(false);
    expect(moved.received.filter(({ headers }) => headers.authorization).length).toBeGreaterThan(0);
  });

  test('a repository that moved is found, and its history fetched, at its new address', async () => {
    await using open = await startGitServer();
    const repository = await open.createRepository('app');
    const moved = await commitAsPerson(repository.path, { 'c.txt': '1\n' });
    await using old = await openReceiver({
      answer: (response, { path }) => response.writeHead(308, { location: `${open.url}${path}` }).end(),
    });
    const remote = { url: `http://127.0.0.1:${old.port}/app/`, credentials: null };
    const context = await sandbox.context({ buildId: 'moved', remote, allowLocal: true });
    expect(await remoteTip(context, 'main')).toEqual({ ok: true, sha: moved });
    const cache = join(sandbox.folder, 'moved.git');
    expect(await prepareCheckout(context, { branch: 'main', defaultBranch: 'main', cache })).toMatchObject({
      ok: true,
      baseSha: moved,
    });
  });
});
