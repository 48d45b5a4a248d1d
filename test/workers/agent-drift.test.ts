import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Drift, DriftCounter, MAX_DRIFT_NAMES } from '../../src/agents/drift.ts';
import { findDrift, recordDrift } from '../../src/workers/agent-drift.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
beforeEach(async () => {
  await database.db.deleteFrom('agent_drift').execute();
});
afterAll(() => database[Symbol.asyncDispose]());

const VERSIONS = new Map([['codex', '2.0.0']]);

function counterOf(...drift: readonly Partial<Drift>[]): DriftCounter {
  const counter = new DriftCounter();
  for (const part of drift) counter.add({ agent: 'codex', version: null, name: 'kind', count: 1, ...part });
  return counter;
}

test('counts of many workers add up under the version of the agent', async () => {
  const workers = [
    counterOf({ count: 2 }, { version: '2.0.0', count: 3 }, { name: 'other' }),
    counterOf({ version: '2.0.0', count: 5 }, { version: '1.0.0' }, { agent: 'gemini' }),
  ];
  await Promise.all(workers.map((counter) => recordDrift(database.db, counter, VERSIONS)));
  const found = await findDrift(database.db);
  const rows = found.map(({ agent, version, name, count }) => [agent, version, name, count]);
  expect(rows.toSorted()).toEqual([
    ['codex', '1.0.0', 'kind', 1],
    ['codex', '2.0.0', 'kind', 10],
    ['codex', '2.0.0', 'other', 1],
    ['gemini', 'unknown', 'kind', 1],
  ]);
});

test('of each agent only what was seen last is kept', async () => {
  await recordDrift(database.db, counterOf({ agent: 'gemini' }, { name: 'old' }), VERSIONS);
  for (const round of [0, 1, 2]) {
    const names = Array.from({ length: 60 }, (_, i) => ({ name: `kind ${round} ${i}` }));
    await recordDrift(database.db, counterOf(...names), VERSIONS);
  }
  const found = await findDrift(database.db);
  expect(found.filter(({ agent }) => agent === 'gemini')).toHaveLength(1);
  const names = found.filter(({ agent }) => agent === 'codex').map(({ name }) => name);
  expect(names).toHaveLength(MAX_DRIFT_NAMES);
  expect(names.slice(0, 60).every((name) => name.startsWith('kind 2'))).toBe(true);
  expect(names).not.toContain('old');
});

test('what could not be written is written the next time', async () => {
  const counter = counterOf({ count: 4 });
  const closed = await openTestDatabase();
  await closed[Symbol.asyncDispose]();
  await expect(recordDrift(closed.db, counter, VERSIONS)).rejects.toThrow();
  expect(await recordDrift(database.db, counter, VERSIONS)).toHaveLength(1);
  expect(await findDrift(database.db)).toMatchObject([{ name: 'kind', count: 4 }]);
  expect(await recordDrift(database.db, counter, VERSIONS)).toEqual([]);
});
