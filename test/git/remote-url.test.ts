import { expect, test } from 'vitest';
import { commitUrl } from '../../src/git/commit-url.ts';
import { isLocalPath, repositoryUrlProblem } from '../../src/git/remote-url.ts';

test.each([
  'https://github.com/acme/app.git',
  'http://127.0.0.1:8080/app.git',
  'http://[::1]:8080/app.git',
  'ssh://git@example.com:2222/acme/app.git',
  'ssh://example.com/acme/app',
  'git@github.com:acme/app.git',
  '/srv/git/app.git',
  '/srv/git/with space.git',
])('accepts %s', (url) => expect(repositoryUrlProblem(url)).toBeNull());

test.each([
  '',
  'app.git',
  './app.git',
  '../app',
  'file:///srv/git/app.git',
  'ext::sh -c id',
  'fd::17/foo',
  'git://example.com/app.git',
  'HTTPS://example.com/app.git',
  '-oProxyCommand=id',
  '--upload-pack=id',
  'ssh://-oProxyCommand=id/app',
  'ssh://-oProxyCommand=id@example.com/app',
  'ssh://%2DoProxyCommand=id@example.com/app',
  '-oProxyCommand=id@example.com:app',
  'git@-oProxyCommand=id:app',
  'git@example.com:-app',
  'git@example.com:',
  'https://user:secret@example.com/app.git',
  'https://token@example.com/app.git',
  'ssh://git:secret@example.com/app.git',
  'https://example.com',
  'https://example.com/',
  'https:///app.git',
  'https://example.com/a b.git',
  'https://example.com\\@evil.example/app.git',
  'https://example.com/app.git?x=1',
  'https://example.com/app.git#x',
  'https://example.com/app\n.git',
  '/srv/\0app',
  `https://example.com/${'a'.repeat(2048)}`,
])('refuses %j', (url) => expect(repositoryUrlProblem(url)).not.toBeNull());

test('only an absolute path is local', () => {
  expect(isLocalPath('/srv/app.git')).toBe(true);
  expect(isLocalPath('git@example.com:/srv/app.git')).toBe(false);
});

test.each([
  ['https://github.com/acme/app.git', 'https://github.com/acme/app/commit/abc'],
  ['https://github.com/acme/app/', 'https://github.com/acme/app/commit/abc'],
  ['git@github.com:acme/app.git', 'https://github.com/acme/app/commit/abc'],
  ['ssh://git@github.com/acme/app.git', 'https://github.com/acme/app/commit/abc'],
  ['ssh://git@gitlab.example.com:2222/a/b/c.git', 'https://gitlab.example.com/a/b/c/-/commit/abc'],
  ['https://gitlab.com/a/b/c', 'https://gitlab.com/a/b/c/-/commit/abc'],
  ['git@bitbucket.org:acme/app.git', 'https://bitbucket.org/acme/app/commits/abc'],
  ['https://codeberg.org/acme/app.git', 'https://codeberg.org/acme/app/commit/abc'],
  ['http://gitea.local:3000/acme/app.git', 'http://gitea.local:3000/acme/app/commit/abc'],
  ['https://evil.example/github.com/app.git', null],
  ['https://notgithub.com/acme/app.git', null],
  ['/srv/github.com/app.git', null],
  ['https://github.com', null],
])('the page of a commit of %s', (url, page) => expect(commitUrl(url, 'abc')).toBe(page));
