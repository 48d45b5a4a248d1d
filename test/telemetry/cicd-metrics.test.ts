/** What a worker without an API tells on its own port. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { openHealthServer } from '../../src/server/health-server.ts';
import type { HealthServer } from '../../src/server/probe-server.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

const draining = new AbortController();
let opened: AsyncDisposableStack;
let stack: TestStack;
let server: HealthServer;
let authorization: string;
beforeAll(async () => {
  opened = new AsyncDisposableStack();
  stack = opened.use(await openTestStack({ SLIPWAY_LOG_LEVEL: 'silent' }));
  const { orchestrator } = stack;
  server = opened.use(await openHealthServer({ orchestrator, host: '127.0.0.1', port: 0, draining: draining.signal }));
  const rights = { name: 't', scopes: ['stats:read'], projectIds: null, expiresAt: null, createdBy: 'test' } as const;
  authorization = `Bearer ${(await createApiToken(orchestrator.db, rights)).token}`;
});
afterAll(() => opened.disposeAsync());

const ask = (path: string, headers: Record<string, string> = {}) => fetch(`${server.url}${path}`, { headers });
const scrape = async () => (await ask('/metrics', { authorization })).text();

async function seriesOf(name: string): Promise<Record<string, number>> {
  const lines = (await scrape()).split('\n').filter((line) => line.startsWith(name));
  return Object.fromEntries(
    lines.map((line) => [line.slice(name.length, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('each way to end counts once, in the words of OpenTelemetry', async () => {
  const { orchestrator } = stack;
  const project = await stack.createProject();
  const start = async (...steps: object[]) => {
    const input = { projectId: project.id, spec: { prompt: script(...steps) } };
    return (await startBuild(orchestrator, input, 'test')).build.id;
  };
  const cancelled = await start({ write: { path: 'a', content: 'a' } });
  await cancelBuild(orchestrator, { id: cancelled }, 'test');
  expect(await seriesOf('cicd_pipeline_run_active')).toEqual({
    '{cicd_pipeline_name="build",cicd_pipeline_run_state="pending"}': 0,
    '{cicd_pipeline_name="build",cicd_pipeline_run_state="executing"}': 0,
    '{cicd_pipeline_name="build",cicd_pipeline_run_state="finalizing"}': 0,
  });

  const lost = await start({ write: { path: 'a', content: 'a' } });
  for (const again of [true, false]) {
    const worker = await registerByHand(stack);
    await claimByHand(stack, worker);
    expect(await seriesOf('cicd_worker_count')).toMatchObject({ '{cicd_worker_state="busy"}': 1 });
    await rescueBuilds(orchestrator, { workers: [worker] });
    expect(await seriesOf('cicd_pipeline_run_errors_total')).toEqual(again ? {} : { [reason('WORKER_LOST')]: 1 });
  }

  const worker = await stack.openWorker(1);
  const done = await start({ write: { path: 'a', content: 'b' } });
  const failed = await start({ print: 'nothing to do' });
  for (const id of [lost, done, failed]) await stack.finished(id);
  await waitFor(() => worker.running === 0, { what: 'the end of the last attempt' });
  expect(await seriesOf('cicd_pipeline_run_errors_total')).toEqual({
    [reason('WORKER_LOST')]: 1,
    [reason('NO_CHANGES')]: 1,
  });
  const counts = await seriesOf('cicd_pipeline_run_duration_seconds_count');
  expect(counts).toEqual({
    [ended('pending', 'cancellation')]: 1,
    [ended('pending', 'error', 'WORKER_LOST')]: 1,
    [ended('executing', 'error', 'WORKER_LOST')]: 1,
    [ended('pending', 'success')]: 1,
    [ended('executing', 'success')]: 1,
    [ended('pending', 'failure', 'NO_CHANGES')]: 1,
    [ended('executing', 'failure', 'NO_CHANGES')]: 1,
  });
  const buckets = await seriesOf('cicd_pipeline_run_duration_seconds_bucket');
  const [whole] = Object.entries(buckets).filter(
    ([labels]) => labels.includes('"executing"') && labels.includes('"success"') && labels.includes('+Inf'),
  );
  expect(whole?.[1]).toBe(1);
});

const reason = (name: string) => `{cicd_pipeline_name="build",error_type="${name}"}`;
const ended = (state: string, result: string, error?: string) =>
  `{cicd_pipeline_name="build",cicd_pipeline_run_state="${state}",cicd_pipeline_result="${result}"${error ? `,error_type="${error}"` : ''}}`;

test('errors of each component are there from the start: the first of them is an increase', async () => {
  const component = (name: string) => `{cicd_system_component="${name}"}`;
  const none = Object.fromEntries(['api', 'worker', 'builds', 'callbacks'].map((name) => [component(name), 0]));
  expect(await seriesOf('cicd_system_errors_total')).toEqual(none);
  stack.orchestrator.telemetry.systemError('worker');
  expect(await seriesOf('cicd_system_errors_total')).toEqual({ ...none, [component('worker')]: 1 });
});

test('every figure has a help, a unit and a type', async () => {
  const text = await scrape();
  const typed = Object.fromEntries([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name, type]));
  expect(typed).toMatchObject({
    cicd_pipeline_run_duration_seconds: 'histogram',
    cicd_pipeline_run_active: 'gauge',
    cicd_pipeline_run_errors_total: 'counter',
    cicd_worker_count: 'gauge',
    cicd_system_errors_total: 'counter',
    slipway_builds: 'gauge',
  });
  for (const name of Object.keys(typed)) {
    expect(text).toMatch(new RegExp(`^# HELP ${name} .+\\.$`, 'm'));
    expect(text).toMatch(new RegExp(`^# UNIT ${name} [a-z]+$`, 'm'));
  }
});

test('probes need no token, figures do, and a process that drains is not ready', async () => {
  expect((await ask('/metrics')).status).toBe(401);
  expect((await ask('/')).status).toBe(404);
  expect(await (await ask('/healthz')).json()).toEqual({ status: 'ok' });
  expect((await ask('/readyz')).status).toBe(200);
  draining.abort();
  const ready = await ask('/readyz');
  expect({ status: ready.status, body: await ready.json() }).toMatchObject({
    status: 503,
    body: { check: 'draining' },
  });
  expect((await ask('/healthz')).status).toBe(200);
});
