import { execFileSync } from 'node:child_process';
import { link, mkdir, mkdtemp, realpath, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { contentTypeOf } from '../../src/artifacts/content-type.ts';
import { type FindLimits, findFiles } from '../../src/artifacts/find-files.ts';

const LIMITS: FindLimits = { maxFiles: 1000, maxBytes: 1024 ** 3 };

let folder: string;
let root: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'slipway-find-')));
  root = join(folder, 'checkout');
  await mkdir(root);
  await write('../secret.txt', 'secret');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function write(path: string, content = path): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}

const find = async (globs: readonly string[], limits = LIMITS) =>
  (await findFiles(root, globs, limits)).map(({ path }) => path);

test('finds regular files by glob, each once, in order', async () => {
  for (const path of ['dist/b.js', 'dist/a.js', 'dist/deep/c.css', 'report.xml', 'src/a.ts', 'dist/.hidden']) {
    await write(path);
  }
  expect(await findFiles(root, ['dist/**', '*.xml', '**/*.js'], LIMITS)).toEqual(
    ['dist/a.js', 'dist/b.js', 'dist/deep/c.css', 'report.xml'].map((path) => ({
      path,
      absolutePath: join(root, path),
      sizeBytes: path.length,
    })),
  );
  expect(await find([])).toEqual([]);
  expect(await find(['nothing/**'])).toEqual([]);
});

test('a symbolic link is never followed and never found', async () => {
  await write('real/a.txt');
  await symlink('../secret.txt', join(root, 'file.txt'));
  await symlink('real/a.txt', join(root, 'inner.txt'));
  await symlink('..', join(root, 'up'));
  await symlink('/', join(root, 'slash'));
  await symlink('real', join(root, 'alias'));
  await symlink('loop', join(root, 'loop'));
  await symlink('missing', join(root, 'dangling.txt'));
  expect(await find(['**'])).toEqual(['real/a.txt']);
  expect(await find(['file.txt', 'inner.txt', 'alias/a.txt', 'up/secret.txt', 'up/**', 'slash/etc/passwd'])).toEqual(
    [],
  );
});

test('the root itself may be reached through a link', async () => {
  await write('a.txt');
  await symlink(root, join(folder, 'link'));
  expect(await findFiles(join(folder, 'link'), ['*'], LIMITS)).toMatchObject([{ absolutePath: join(root, 'a.txt') }]);
});

test('FIFOs, folders and .git in any case are not found', async () => {
  execFileSync('mkfifo', [join(root, 'pipe.txt')]);
  await mkdir(join(root, 'folder.txt'));
  await write('.git/config');
  await write('nested/.GIT/config');
  await write('a.txt');
  expect(await find(['**', '*.txt', '.git/*', 'nested/.GIT/*', '**/config'])).toEqual(['a.txt']);
});

test('odd names are names', async () => {
  const names = ['-rf', 'a\nb', 'a b', '\u202etxt.exe', '$(id)', '%2e%2e'];
  for (const name of names) await write(`odd/${name}`, 'x');
  expect((await find(['odd/*'])).sort()).toEqual(names.map((name) => `odd/${name}`).sort());
});

test.each(['../secret.txt', '/etc/passwd', 'a/../../secret.txt', 'a\0b', 'x'.repeat(501), ''])(
  'the glob %j is refused by name',
  async (glob) => {
    await expect(find(['dist/**', glob])).rejects.toMatchObject({ code: 'ARTIFACT_PATH' });
  },
);

test('more files or bytes than allowed are an error that names the limit', async () => {
  for (let index = 0; index < 4; index += 1) await write(`many/${index}`, '12345');
  await expect(find(['many/*'], { maxFiles: 3, maxBytes: 100 })).rejects.toMatchObject({
    code: 'ARTIFACT_LIMIT',
    message: expect.stringContaining('More than 3 files'),
  });
  await expect(find(['many/*'], { maxFiles: 4, maxBytes: 19 })).rejects.toMatchObject({
    code: 'ARTIFACT_LIMIT',
    message: expect.stringContaining('exceed 19 bytes'),
  });
  expect(await find(['many/*'], { maxFiles: 4, maxBytes: 20 })).toHaveLength(4);
  // A hole costs the agent nothing and must not cost us 5 GB.
  await write('huge.bin', '');
  await truncate(join(root, 'huge.bin'), 5 * 1024 ** 3);
  await expect(find(['huge.bin'])).rejects.toMatchObject({ code: 'ARTIFACT_LIMIT' });
});

test('a path longer than 1024 characters is refused', async () => {
  const deep = Array(9).fill('d'.repeat(120)).join('/');
  await write(`${deep}/a.txt`);
  await expect(find(['**/*.txt'])).rejects.toMatchObject({ code: 'ARTIFACT_PATH' });
  expect(await find(['other/**'])).toEqual([]);
});

test('a hard link is the file it is', async () => {
  await write('a.txt');
  await link(join(root, 'a.txt'), join(root, 'b.txt'));
  expect(await find(['*'])).toEqual(['a.txt', 'b.txt']);
});

test.each([
  ['dist/index.HTML', 'text/html; charset=utf-8'],
  ['a.tar.gz', 'application/gzip'],
  ['a.b/c', 'application/octet-stream'],
  ['.json', 'application/json'],
  ['Makefile', 'application/octet-stream'],
  ['a.constructor', 'application/octet-stream'],
  ['a.__proto__', 'application/octet-stream'],
])('%s is %s', (name, type) => {
  expect(contentTypeOf(name)).toBe(type);
});
