/** Lists of builds whose specs and results are as large as they may be: what is not asked for is not read. */
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createContext } from '../../schema/context.ts';
import { retryBuild } from '../../src/builds/retry-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { connectionSettings, type Database } from '../../src/database/database.ts';
import type { Tables } from '../../src/database/tables.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { type Answer, Api, viewer } from './api.ts';
import { finish } from './finish.ts';

const MIB = 1024 * 1024;
const BUILDS = 100;
const FILES = 5_000;

let stack: TestStack;
let ids: string[];

beforeAll(async () => {
  stack = await openTestStack();
  const { orchestrator } = stack;
  const workerId = v7();
  const worker = { id: workerId, name: 'w', place: 'here', version: '0', capacity: 1, agents: [] };
  await registerWorker(orchestrator.db, worker);
  const { id: projectId } = await stack.createProject();
  const { build: first } = await startBuild(orchestrator, { projectId, spec: { prompt: 'work' } }, 'test');
  await finish(orchestrator, first.id);
  const uuids = [first.id];
  for (let count = 1; count < BUILDS; count += 1) {
    const { build } = await retryBuild(orchestrator, { id: first.id }, 'test');
    await finish(orchestrator, build.id);
    uuids.push(build.id);
  }
  const files = sql`(select jsonb_agg(jsonb_build_object('path', 'src/' || n || '.ts', 'previousPath', null,
    'status', 'ADDED', 'additions', n, 'deletions', 0)) from generate_series(1, ${sql.lit(FILES)}) as n)`;
  await sql`update build_audit set worker_id = ${workerId}::uuid,
    spec = spec || jsonb_build_object('prompt', repeat('p', ${sql.lit(MIB)}),
      'variables', jsonb_build_object('name', repeat('v', 65536))),
    result = result || jsonb_build_object('output', repeat('o', 65536), 'filesChanged', ${files})`.execute(
    orchestrator.db,
  );
  ids = uuids.toReversed().map((uuid) => toPublicId('build', uuid));
});
afterAll(() => stack[Symbol.asyncDispose]());

interface Reading {
  readonly data: Answer['data'];
  /** What Postgres sent, as it came through the sockets. */
  readonly bytes: number;
  readonly statements: number;
}

async function read(source: string, variables: Readonly<Record<string, unknown>> = {}): Promise<Reading> {
  let bytes = 0;
  let statements = 0;
  const pool = new pg.Pool({ ...connectionSettings(stack.databaseUrl, 'heavy'), max: 4 });
  pool.on('connect', ({ connection }) => {
    connection.stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
  });
  const db: Database = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: () => {
      statements += 1;
    },
  });
  const data = await new Api({ ...stack.orchestrator, db }).data(source, { variables });
  await db.destroy();
  return { data, bytes, statements };
}

const SCALARS = `id number status phase source priority createdAt startedAt finishedAt durationMs queuedMs requestedBy
  attempt idempotencyKey lastEventCursor cancelRequestedAt cancelReason usage { costUsd } failure { reason }`;
const SPEC = 'spec { provider template branch priority }';
const SMALL = `spec { model autoPush callbackUrl labels { key } limits { wallSeconds } runAfter resumeSessionOf }
  result { success commitSha publication branch durationMs sessionId usage { turns } artifacts { id } error { reason } }`;

// Name, operation, statements: the page, and one for each document of which something is asked.
const LISTS: [string, string, number][] = [
  ['a page', `{ builds(first: 100) { nodes { ${SCALARS} ${SPEC} } } }`, 1],
  ['a page with what is small in both documents', `{ builds(first: 100) { nodes { ${SCALARS} ${SMALL} } } }`, 3],
  [
    'the builds of projects',
    `{ projects(first: 1) { nodes { builds(first: 100) { nodes { ${SCALARS} ${SPEC} } } } } }`,
    2,
  ],
  ['the retries of a build', `query ($first: ID!) { build(id: $first) { retries(first: 100) { nodes { id } } } }`, 2],
  ['builds by their ids', `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Build { ${SCALARS} ${SPEC} } } }`, 1],
];

describe('a hundred builds with prompts of 1 MiB and 5,000 changed files each', () => {
  it.each(LISTS)('%s reads less than 1 MiB', async (name, source, statements) => {
    const reading = await read(source, source.includes('$first') ? { first: ids.at(-1) } : { ids });
    console.info(`${name}: ${Math.round(reading.bytes / 1024)} KiB in ${reading.statements} statements`);
    expect(reading.bytes).toBeLessThan(MIB);
    expect(reading.statements).toBe(statements);
    expect(JSON.stringify(reading.data)).toContain(ids[0]);
  });

  it('shows all of what is asked for, and reads it for those builds only', async () => {
    // Loaded by their ids, both lists ask in the same moment.
    const source = `query ($ids: [ID!]!, $two: [ID!]!) {
      all: nodes(ids: $ids) { ... on Build { spec { model } result { commitSha } } }
      some: nodes(ids: $two) {
        ... on Build { id spec { prompt variables { value } } result { output filesChanged { path } } }
      }
    }`;
    const { data, bytes } = await read(source, { ids, two: ids.slice(0, 2) });
    expect(data.all).toEqual(Array(BUILDS).fill({ spec: { model: null }, result: { commitSha: 'c0ffee' } }));
    expect(data.some.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
    for (const { spec, result } of data.some) {
      expect(spec.prompt).toHaveLength(MIB);
      expect(spec.variables[0].value).toHaveLength(65_536);
      expect(result.output).toHaveLength(65_536);
      expect(result.filesChanged).toHaveLength(FILES);
    }
    expect(bytes).toBeGreaterThan(2 * MIB);
    expect(bytes).toBeLessThan(6 * MIB);
  });

  it('are asked for their prompts in one statement', async () => {
    const { data, statements } = await read('{ builds(first: 20) { nodes { spec { prompt } } } }');
    expect(data.builds.nodes.map(({ spec }: Answer['data']) => spec.prompt.length)).toEqual(Array(20).fill(MIB));
    expect(statements).toBe(2);
  });
});

it('the documents of builds that a viewer may not see are not there', async () => {
  const { id: projectId } = await stack.createProject();
  const spec = { prompt: 'secret plan' };
  const { build } = await startBuild(stack.orchestrator, { projectId, spec }, 'test');
  const prompt = (projectIds: readonly string[]) => {
    const { loaders } = createContext(stack.orchestrator, viewer({ projectIds }));
    return loaders.spec.load({ buildId: build.id, key: 'prompt' });
  };
  expect(await prompt([projectId])).toBe('secret plan');
  expect(await prompt([v7()])).toBeNull();
});

it('a build that ends while it is answered shows the result of its status', async () => {
  const { id: projectId } = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  const context = createContext(stack.orchestrator, viewer());
  const before = await context.loaders.build.load(build.id);
  await finish(stack.orchestrator, build.id);
  const source = 'query ($id: ID!) { build(id: $id) { status result { success } } }';
  const variables = { id: toPublicId('build', build.id) };
  const api = new Api(stack.orchestrator);
  expect(before?.status).toBe('PENDING');
  expect((await api.data(source, { variables, context })).build).toEqual({ status: 'PENDING', result: null });
  expect((await api.data(source, { variables })).build).toEqual({ status: 'COMPLETED', result: { success: true } });
});
