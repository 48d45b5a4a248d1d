import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommandOnce } from '../../../src/runtimes/inside/command-once.ts';
import { runCommand } from '../../../src/runtimes/run-command.ts';

const COMMAND_ONCE = new URL('../../../src/runtimes/inside/command-once.ts', import.meta.url).href;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-once-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const append = (id: string, script = 'echo ran >>"$0/ran"; echo out') =>
  runCommandOnce(folder, {
    id,
    run: (signal) =>
      runCommand({ argv: ['/bin/sh', '-c', script, folder], cwd: folder, env: {}, timeoutMs: 10_000, signal }),
  });

test('a command that is asked for many times at once runs once, and all are given its answer', async () => {
  const id = randomUUID();
  const answers = await Promise.all(Array.from({ length: 8 }, () => append(id)));
  for (const answer of answers)
    expect(answer).toMatchObject({ state: 'done', result: { stdout: Buffer.from('out\n') } });
  expect(await append(id)).toEqual(answers[0]);
  expect((await readdir(folder)).filter((name) => name === 'ran')).toEqual(['ran']);
  expect(await append(randomUUID(), 'cat "$0/ran"')).toMatchObject({ result: { stdout: Buffer.from('ran\n') } });
});

test('a command that cannot be started says so, again and again', async () => {
  const id = randomUUID();
  const missing = () =>
    runCommandOnce(folder, {
      id,
      run: (signal) => runCommand({ argv: ['/no/such'], cwd: folder, env: {}, timeoutMs: 1_000, signal }),
    });
  for (let tries = 0; tries < 2; tries += 1) {
    expect(await missing()).toMatchObject({ state: 'failed', message: expect.stringContaining('ENOENT') });
  }
});

test('a command whose process was killed is lost', async () => {
  const id = randomUUID();
  const child = spawn('true');
  await once(child, 'exit');
  await writeFile(join(folder, `${id}.process`), `${child.pid} 1\n`);
  expect(await append(id)).toEqual({ state: 'lost' });
});

test('a command that is ended while its call is on its way does not run', async () => {
  const id = randomUUID();
  const kill = `import { killCommand } from ${JSON.stringify(COMMAND_ONCE)}; await killCommand(process.argv[1], process.argv[2]);`;
  const killer = spawn(process.execPath, ['--input-type=module', '--eval', kill, folder, id], { stdio: 'inherit' });
  expect(await once(killer, 'exit')).toEqual([0, null]);
  expect(await append(id)).toEqual({ state: 'lost' });
  expect(await readdir(folder)).not.toContain('ran');
});

test('answers that nobody has asked for again go', async () => {
  await append(randomUUID());
  const names = (await readdir(folder)).filter((name) => name !== 'ran');
  const old = new Date(Date.now() - 2 * 60 * 60_000);
  for (const name of names) await utimes(join(folder, name), old, old);
  await append(randomUUID());
  for (const name of names) expect(await readdir(folder)).not.toContain(name);
});

test('an id is no path', async () => {
  await expect(append('../x')).rejects.toThrow('UUID');
});
