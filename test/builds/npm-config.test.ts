import { mkdir, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { HOME_SECRETS, writeNpmConfig } from '../../src/builds/npm-config.ts';
import { openBench } from '../support/agent-runs.ts';

const REGISTRIES = [
  { url: 'https://npm.example/team/', token: 'token-one' },
  { url: 'http://127.0.0.1:4873/', token: 'token-two' },
];

test('it is for its owner only, replaces whatever an agent left there, and goes', async () => {
  const bench = await openBench();
  onTestFinished(() => bench[Symbol.asyncDispose]());
  const { workspace } = bench;
  const file = join(workspace.paths.home, '.npmrc');
  const elsewhere = join(workspace.paths.tmp, 'elsewhere');
  const remains = [
    () => Promise.resolve(),
    () => symlink(elsewhere, file),
    () => mkdir(join(file, 'folder'), { recursive: true }),
  ];
  for (const leave of remains) {
    await rm(file, { recursive: true, force: true });
    await leave();
    await writeNpmConfig(workspace, REGISTRIES);
    expect(await readFile(file, 'utf8')).toBe(
      '//npm.example/team/:_authToken=token-one\n//127.0.0.1:4873/:_authToken=token-two\n',
    );
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(workspace.paths.tmp)).toEqual([]);
  }
  await writeNpmConfig(workspace, []);
  expect(await readdir(workspace.paths.home)).toEqual([]);
  await writeNpmConfig(workspace, REGISTRIES);
  await bench.runtime.close(workspace.buildId, { keepHome: true, forget: HOME_SECRETS });
  expect(await readdir(workspace.paths.home)).toEqual([]);
});
