import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  findArtifact,
  findArtifacts,
  insertArtifacts,
  listArtifactsOf,
  type NewArtifact,
} from '../../src/artifacts/artifact.ts';
import { insertFinishedBuild, insertProject } from '../callbacks/finished-builds.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let projectId: string;
let builds = 0;

beforeAll(async () => {
  database = await openTestDatabase();
  projectId = await insertProject(database.db);
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

async function newBuild(): Promise<string> {
  builds += 1;
  return await insertFinishedBuild(database.db, { projectId, number: builds });
}

const artifact = (buildId: string, name: string): NewArtifact => ({
  id: v7(),
  buildId,
  name,
  contentType: 'text/plain; charset=utf-8',
  sizeBytes: 2 ** 40,
  sha256: 'a'.repeat(64),
});

const insert = (artifacts: readonly NewArtifact[]) =>
  database.db.transaction().execute((trx) => insertArtifacts(trx, artifacts));

test('artifacts are read back by id, by build and page by page', async () => {
  const [first, second] = [await newBuild(), await newBuild()];
  const [b, a, other] = [artifact(first, 'b.txt'), artifact(first, 'a.txt'), artifact(second, 'c.txt')];
  await insert([b, a, other]);
  await insert([]);
  expect(await findArtifact(database.db, a.id)).toEqual({ ...a, createdAt: expect.any(Date) });
  expect(await findArtifact(database.db, v7())).toBeNull();
  expect((await findArtifacts(database.db, [first, second])).map(({ name }) => name)).toEqual([
    'a.txt',
    'b.txt',
    'c.txt',
  ]);
  expect(await findArtifacts(database.db, [])).toEqual([]);
  const keyset = { direction: 'asc', after: null, before: null, limit: 1, fromEnd: false } as const;
  const pages = await listArtifactsOf(database.db, [first, second], keyset);
  expect([pages.get(first), pages.get(second)]).toMatchObject([[{ id: b.id }], [{ id: other.id }]]);
});

test('what a later attempt collects takes the place of the earlier', async () => {
  const buildId = await newBuild();
  const [earlier, later] = [artifact(buildId, 'a.txt'), { ...artifact(buildId, 'a.txt'), sha256: 'b'.repeat(64) }];
  await insert([earlier]);
  await insert([later]);
  expect(await findArtifacts(database.db, [buildId])).toMatchObject([{ id: later.id, sha256: 'b'.repeat(64) }]);
});

test('a thousand artifacts at once', async () => {
  const buildId = await newBuild();
  await insert(Array.from({ length: 1000 }, (_, index) => artifact(buildId, `${index}.txt`)));
  expect(await findArtifacts(database.db, [buildId])).toHaveLength(1000);
});
