import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import { CreateProjectDocument, ListProjectsDocument } from '../../src/client/generated.ts';
import { isAlive, postgresPid, startSlipway, upAnswer } from './slipway-process.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-up-'));
  // As root, Postgres runs as another user, who must be able to pass through.
  await chmod(folder, 0o711);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('up keeps its data over an orderly end and over kill -9, and leaves no process behind', async () => {
  const dataFolder = join(folder, 'data');
  const environment = { SLIPWAY_DATA: dataFolder, SLIPWAY_PORT: '0', SLIPWAY_LOG_LEVEL: 'info' };
  const start = () => startSlipway(['up', '--json'], environment);

  const first = start();
  const { url, token } = await upAnswer(first);
  expect(token).toMatch(/^slipway_/);
  await using client = createClient({ url, token });
  await client.request(CreateProjectDocument, { input: { name: 'Kept' } });
  const firstPostgres = await postgresPid(dataFolder);
  first.child.kill('SIGTERM');
  expect(await first.ended).toBe(0);
  expect(await isAlive(firstPostgres)).toBe(false);

  const second = start();
  expect(await upAnswer(second)).toMatchObject({ token: null });
  const secondPostgres = await postgresPid(dataFolder);
  second.child.kill('SIGKILL');
  expect(await second.ended).toBe('SIGKILL');
  expect(await isAlive(secondPostgres)).toBe(true);

  const third = start();
  const answer = await upAnswer(third);
  expect(await postgresPid(dataFolder)).toBe(secondPostgres);
  expect(third.stderr).toContain('adopted the Postgres');
  await using again = createClient({ url: answer.url, token });
  const { projects } = await again.request(ListProjectsDocument, { first: 10 });
  expect(projects.nodes.map(({ slug }) => slug)).toEqual(['kept']);
  third.child.kill('SIGINT');
  expect(await third.ended).toBe(0);
  expect(await isAlive(secondPostgres)).toBe(false);
}, 120_000);
