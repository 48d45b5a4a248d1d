/** What builds may use: one of them, and those of a project in a day. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readDayBudget } from '../../src/builds/budget.ts';
import { findBuild } from '../../src/builds/build.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { readSpendToday } from '../../src/builds/spend.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { validateBuild } from '../../src/builds/validate-build.ts';
import { BudgetExceededError, InvalidInputError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { updateProject } from '../../src/projects/change-project.ts';
import type { Project, ProjectSettings } from '../../src/projects/project.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
  await stack.openWorker(4);
});

afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

type Budget = NonNullable<ProjectSettings['budget']>;

const projectWith = (budget: Budget) => stack.createProject({ settings: { budget } });

async function start({ id }: Project, prompt: string, spec: object = {}): Promise<string> {
  const { build } = await startBuild(stack.orchestrator, { projectId: id, spec: { prompt, ...spec } }, 'test');
  return build.id;
}

async function run(project: Project, prompt: string, spec: object = {}) {
  return stack.finished(await start(project, prompt, spec));
}

async function spentBy({ id }: Project) {
  return (await readSpendToday(stack.orchestrator.db, [id])).get(id);
}

const uses = (used: object) => ({ usage: used });
const done = { write: { path: 'a', content: 'a' } };

describe('a day', () => {
  test('what agents report is counted once, by day, whatever becomes of the build', async () => {
    const project = await projectWith({});
    await run(
      project,
      script(
        uses({ costUsd: 0.1, inputTokens: 10, outputTokens: 1 }),
        uses({ costUsd: 0.2, inputTokens: 30, outputTokens: 2 }),
        done,
      ),
    );
    await run(project, script(uses({ costUsd: 0.1, inputTokens: 5 }), { fail: 'it broke' }));
    await run(project, script(uses({ outputTokens: 7 }), { fail: 'it broke' }));
    expect(await spentBy(project)).toEqual({ costUsd: 0.3, tokens: 44, unpricedTokens: 7 });
  });

  test('with its budget used up no build is accepted, and a dry run says so', async () => {
    const project = await projectWith({ perDayUsd: 1 });
    await run(project, script(uses({ costUsd: 0.6 }), done));
    const second = await run(project, script(uses({ costUsd: 0.7 }), { wait: 60 }));
    expect(second).toMatchObject({ status: 'FAILED', failure: { reason: 'BUDGET_EXCEEDED', retryable: false } });
    expect(second.failure?.message).toContain('$1 a day');
    const refused = await start(project, script(done)).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BudgetExceededError);
    const { resetsAt } = refused as BudgetExceededError;
    expect(resetsAt.toISOString()).toMatch(/T00:00:00\.000Z$/);
    expect(resetsAt.getTime()).toBeGreaterThan(Date.now());
    const validation = await validateBuild(stack.orchestrator, { projectId: project.id, spec: { prompt: 'x' } });
    expect(validation.ready).toBe(false);
    expect(validation.checks.find(({ name }) => name === 'budget')).toMatchObject({ ok: false });
    expect(validation.issues).toMatchObject([{ path: ['projectId'] }]);
    await updateProject(
      stack.orchestrator,
      { id: project.id, changes: { settings: { budget: { perDayUsd: 5 } } } },
      'test',
    );
    expect(await run(project, script({ write: { path: 'b', content: 'b' } }))).toMatchObject({ status: 'COMPLETED' });
  });

  test('tokens count also where nobody knows what they cost', async () => {
    const project = await projectWith({ perDayTokens: 100, perDayUsd: 1 });
    const build = await run(project, script(uses({ inputTokens: 60, outputTokens: 50 }), { wait: 60 }));
    expect(build.failure).toMatchObject({ reason: 'BUDGET_EXCEEDED' });
    expect(build.failure?.message).toContain('100 tokens a day');
    await expect(start(project, script(done))).rejects.toThrow(BudgetExceededError);
  });

  test('yesterday does not count', async () => {
    const project = await projectWith({ perDayUsd: 1 });
    await sql`insert into project_spend (project_id, day, cost_usd)
              values (${project.id}, (now() at time zone 'UTC')::date - 1, 50)`.execute(stack.orchestrator.db);
    expect(await run(project, script(done))).toMatchObject({ status: 'COMPLETED' });
  });

  test('is looked up by two primary keys', async () => {
    const project = await projectWith({ perDayUsd: 1 });
    const { db } = stack.orchestrator;
    await sql`insert into project_spend (project_id, day)
              select ${project.id}, date '2000-01-01' + n from generate_series(1, 3000) n`.execute(db);
    await sql`analyze project_spend`.execute(db);
    const times: number[] = [];
    for (let count = 0; count < 200; count += 1) {
      const from = performance.now();
      await readDayBudget(db, project.id);
      times.push(performance.now() - from);
    }
    console.log(`the budget of a day, beside 3,000 others: ${times.toSorted((a, b) => a - b)[100]?.toFixed(2)} ms`);
    expect(await readDayBudget(db, project.id)).toEqual({ leftUsd: 1, leftTokens: null, usedUp: null });
  });

  test('a build that was accepted before ends at its claim, and its agent is not started', async () => {
    const project = await projectWith({ perDayUsd: 1 });
    const waiting = await start(project, script(done), { runAfter: new Date(Date.now() + 3_600_000) });
    await run(project, script(uses({ costUsd: 2 }), { wait: 60 }));
    const { db, queue, hub } = stack.orchestrator;
    await db.transaction().execute((trx) => queue.putBack(trx, waiting, null));
    hub.announce('queue');
    const ended = await stack.finished(waiting);
    expect(ended).toMatchObject({ status: 'FAILED', failure: { reason: 'BUDGET_EXCEEDED', phase: 'PREPARING' } });
    const events = await readEvents(db, { buildId: waiting, after: 0, limit: 100 });
    expect(events.map(({ type }) => type)).not.toContain('AGENT_STARTED');
  });

  test('builds that run at the same time overspend by one report each at most', async () => {
    const project = await projectWith({ perDayUsd: 1 });
    const folder = await mkdtemp(join(stack.dataFolder, 'gates-'));
    const gates = [1, 2, 3].map((number) => join(folder, `${number}`));
    const steps = gates.flatMap((gate, index) => [
      { run: `until [ -e ${gate} ]; do sleep 0.05; done` },
      uses({ costUsd: 0.2 * (index + 1) }),
    ]);
    const ids = await Promise.all([1, 2, 3, 4].map(() => start(project, script(...steps, { wait: 60 }))));
    await writeFile(gates[0] ?? '', '');
    await waitFor(async () => (await spentBy(project))?.costUsd === 0.8, { what: 'the first reports' });
    await writeFile(gates[1] ?? '', '');
    const builds = await Promise.all(ids.map((id) => stack.finished(id)));
    expect(builds.map(({ failure }) => failure?.reason)).toEqual(Array(4).fill('BUDGET_EXCEEDED'));
    expect((await spentBy(project))?.costUsd).toBe(1.6);
  });
});

describe('a build', () => {
  test('may not ask for more than the project allows, and gets no more by default', async () => {
    const project = await projectWith({ perBuildUsd: 0.5 });
    await expect(start(project, script(done), { limits: { maxCostUsd: 1 } })).rejects.toThrow(InvalidInputError);
    const build = await run(project, script(uses({ costUsd: 0.6 }), { wait: 60 }));
    expect(build.spec.limits.maxCostUsd).toBe(0.5);
    expect(build.failure).toMatchObject({
      reason: 'BUDGET_EXCEEDED',
      message: 'The agent has used $0.6, and the build may use $0.5.',
    });
  });

  test('ends at its caps of tokens, turns and refusals, also with the last word of its agent', async () => {
    const project = await projectWith({});
    const retry = { retry: { reason: 'overloaded', message: 'busy' } };
    const [tokens, turns, refusals, last] = await Promise.all([
      run(project, script(uses({ inputTokens: 60, outputTokens: 60 }), { wait: 60 }), { limits: { maxTokens: 100 } }),
      run(project, script(uses({ turns: 3 }), { wait: 60 }), { limits: { maxTurns: 2 } }),
      run(project, script(retry, retry, { wait: 60 }), { limits: { maxRetries: 1 } }),
      run(project, script(done, uses({ costUsd: 2 })), { limits: { maxCostUsd: 1 } }),
    ]);
    expect(tokens.failure?.reason).toBe('BUDGET_EXCEEDED');
    expect(turns.failure?.reason).toBe('MAX_TURNS');
    expect(refusals.failure).toMatchObject({ reason: 'PROVIDER_OVERLOADED', message: 'busy' });
    expect(last.failure?.reason).toBe('BUDGET_EXCEEDED');
  });

  test('shows while it runs what it has used, and keeps it when it is cancelled', async () => {
    const project = await projectWith({});
    const id = await start(project, script(uses({ inputTokens: 12, costUsd: 0.1 }), { wait: 60 }));
    await waitFor(async () => (await findBuild(stack.orchestrator.db, id))?.usage?.inputTokens === 12);
    await cancelBuild(stack.orchestrator, { id }, 'test');
    const build = await stack.finished(id);
    expect(build).toMatchObject({ status: 'CANCELLED', usage: { inputTokens: 12, costUsd: 0.1 } });
    expect(build.result?.usage).toEqual(build.usage);
  });
});
