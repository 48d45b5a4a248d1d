/** One query within the complexity limit may ask for more than an answer may hold: it is told so before that is read. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MAX_RESPONSE_BYTES } from '../../schema/limits.ts';
import { ResponseBudget } from '../../schema/response-budget.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

const MIB = 1024 * 1024;
const BUILDS = 100;

let stack: TestStack;
let api: TestApi;
beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  const { db } = stack.orchestrator;
  const { id: projectId } = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  await sql`update build_audit set spec = spec || jsonb_build_object('prompt', repeat('p', ${sql.lit(MIB)}))`.execute(
    db,
  );
  const { rows } = await sql<{ columns: string }>`select string_agg(quote_ident(column_name), ', ') as columns
    from information_schema.columns where table_name = 'build_audit' and is_generated = 'NEVER'
      and column_name not in ('id', 'number')`.execute(db);
  const columns = sql.raw(rows[0]?.columns ?? '');
  const ids = Array.from({ length: BUILDS - 1 }, () => v7());
  await sql`insert into build_audit (id, number, ${columns}) select new.id, new.number + 1, ${columns}
    from build_audit, unnest(${ids}::uuid[]) with ordinality as new (id, number) where build_audit.id = ${build.id}
  `.execute(db);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

function residentMiB(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().rss / MIB;
}

async function ask(query: string) {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${api.token}` };
  const response = await fetch(api.url, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const text = await response.text();
  return { status: response.status, bytes: text.length, ...JSON.parse(text) };
}

it('a hundred prompts of 1 MiB are refused by name, before they are read', async () => {
  const before = residentMiB();
  const started = performance.now();
  const { status, data, errors } = await ask('{ builds(first: 100) { nodes { spec { prompt } } } }');
  const took = performance.now() - started;
  const grown = residentMiB() - before;
  console.log(`100 prompts of 1 MiB refused in ${took.toFixed()} ms, RSS grew by ${grown.toFixed(1)} MiB`);
  expect(status).toBe(400);
  expect(data).toBeUndefined();
  expect(errors).toMatchObject([
    {
      message: 'The prompts, outputs, events and logs of this answer are more than 24 MiB. Ask for fewer at a time.',
      extensions: { code: 'RESPONSE_TOO_LARGE', limitBytes: MAX_RESPONSE_BYTES },
    },
  ]);
  expect(grown).toBeLessThan(20);
});

it('twenty are answered', async () => {
  const { status, bytes } = await ask('{ builds(first: 20) { nodes { spec { prompt } } } }');
  expect(status).toBe(200);
  expect(bytes).toBeGreaterThan(20 * MIB);
});

it('what is read at the same time counts together, and nothing is read after the end', async () => {
  const budget = new ResponseBudget();
  const asked: number[] = [];
  const read = (bytes: number) =>
    budget.read(async (maxBytes) => {
      asked.push(maxBytes);
      return bytes > maxBytes ? null : { value: bytes, bytes };
    });
  const results = await Promise.allSettled([read(10 * MIB), read(20 * MIB), read(1)]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  expect(asked).toEqual([MAX_RESPONSE_BYTES, MAX_RESPONSE_BYTES - 10 * MIB]);
  expect(budget.exceeded.aborted).toBe(true);
});
