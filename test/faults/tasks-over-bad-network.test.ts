/** Workers of tasks behind a network that cuts: each task is completed once, whatever answers are lost. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TaskKeeper } from '../../src/tasks/task-keeper.ts';
import { setTaskType } from '../../src/tasks/task-type.ts';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { openTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const TASKS = 2_000;
const CLAIMANTS = 8;
/** As many mutations as one operation may hold. */
const AT_ONCE = 5;
/** Answers that come through between two cuts: however slow the machine is, it goes on. */
const CUT_EVERY = 25;

let stack: TestStack;
let api: TestApi;

beforeAll(async () => {
  stack = await openTestStack({ SLIPWAY_RATE_LIMIT: '0' });
  api = await openTestApi(stack);
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

interface Claim {
  readonly leaseToken: string;
  readonly task: { readonly id: string };
}

const CLAIM = `mutation ($name: String!) { claimTask(input: { workerName: $name, types: ["cut"], max: ${AT_ONCE}, waitSeconds: 1 }) {
  ... on ClaimTaskPayload { claims { leaseToken task { id } } } } }`;

/** The answer, or null when it was lost. */
async function ask(url: string, query: string, variables: object = {}): Promise<Record<string, never> | null> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${api.token}` },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(10_000),
    });
    const { data, errors } = (await answer.json()) as { data: Record<string, never>; errors?: unknown };
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError || (error as Error).name === 'TimeoutError')
      return null;
    throw error;
  }
}

it(`of ${CLAIMANTS} workers completes ${TASKS} tasks once each`, async () => {
  const { orchestrator } = stack;
  const { db } = orchestrator;
  await using keeper = new TaskKeeper(orchestrator);
  keeper.open();
  await using proxy = await openTcpProxy(api.port);
  const { id: projectId } = await stack.createProject();
  await setTaskType(orchestrator, { projectId, name: 'cut', schema: {} }, 'test');
  // All at once: what enqueueTask writes is the matter of other tests.
  await sql`
    with added as (
      insert into tasks (id, project_id, type, payload, max_attempts, backoff_seconds, max_backoff_seconds, lease_seconds,
                         requested_by)
      select gen_random_uuid(), ${projectId}, 'cut', to_jsonb(n), 100, 0, 0, 5, 'test' from generate_series(1, ${TASKS}::integer) n
      returning id, project_id
    )
    select count(queue_add(id, 'task:cut', project_id, '{}', '', '', 0, now(), now())) from added`.execute(db);
  const url = `http://127.0.0.1:${proxy.port}/graphql`;
  let over = false;
  let lostAnswers = 0;
  /** Task -> leases whose completion was confirmed. */
  const confirmed = new Map<string, Set<string>>();
  let answers = 0;
  const send = async (query: string, variables: object = {}) => {
    const data = await ask(url, query, variables);
    if (data) answers += 1;
    else lostAnswers += 1;
    if (data && answers % CUT_EVERY === 0) proxy.cut();
    return data;
  };
  const work = async (name: string) => {
    while (!over) {
      const data = await send(CLAIM, { name });
      const claims = (data?.claimTask as unknown as { claims: Claim[] } | undefined)?.claims ?? [];
      if (claims.length > 0) await complete(claims);
    }
  };
  /** Says it until there is an answer: what was said before gets the same one. */
  const complete = async (claims: readonly Claim[]) => {
    const words = claims.map(
      ({ leaseToken, task }, n) =>
        `c${n}: completeTask(input: { taskId: "${task.id}", leaseToken: "${leaseToken}", result: "${leaseToken}" }) { __typename }`,
    );
    for (;;) {
      const data = await send(`mutation { ${words.join('\n')} }`);
      if (!data) continue;
      for (const [n, { leaseToken, task }] of claims.entries()) {
        const { __typename: type } = data[`c${n}`] as unknown as { __typename: string };
        if (type === 'CompleteTaskPayload')
          confirmed.set(task.id, (confirmed.get(task.id) ?? new Set()).add(leaseToken));
        else expect(type).toBe('LeaseLostError');
      }
      return;
    }
  };
  const began = performance.now();
  const workers = Array.from({ length: CLAIMANTS }, (_, n) => work(`w${n}`));
  const left = () => db.selectFrom('tasks').select('id').where('status', '<>', 'COMPLETED').limit(1).execute();
  await waitFor(async () => (await left()).length === 0, { deadlineMs: 200_000, everyMs: 200, what: 'all tasks' });
  const seconds = (performance.now() - began) / 1_000;
  over = true;
  await Promise.all(workers);
  const rows = await db
    .selectFrom('tasks')
    .select(({ selectFrom, fn }) => [
      'id',
      'attempt_no',
      'result',
      selectFrom('task_events')
        .select(fn.countAll<number>().as('ends'))
        .whereRef('task_id', '=', 'tasks.id')
        .where('type', '=', 'FINISHED')
        .as('ends'),
    ])
    .execute();
  expect(rows).toHaveLength(TASKS);
  expect(rows.filter(({ ends }) => Number(ends) !== 1)).toEqual([]);
  expect([...confirmed.values()].filter(({ size }) => size > 1)).toEqual([]);
  for (const { id, result } of rows) {
    const [lease] = confirmed.get(`task_${id.replaceAll('-', '')}`) ?? [];
    if (lease !== undefined) expect(result).toBe(lease);
  }
  await checkQueue(db);
  const attempts = rows.reduce((sum, row) => sum + row.attempt_no, 0);
  console.log(`${TASKS} tasks in ${seconds.toFixed(1)} s, ${attempts} attempts, ${lostAnswers} answers lost`);
  expect(lostAnswers).toBeGreaterThan(0);
}, 240_000);
