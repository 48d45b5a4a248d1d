/** Traces over real processes: what a collector gets, and what Slipway does without one that answers. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openReceiver, type Receiver } from '../callbacks/receiver.ts';
import { runCommand } from '../cli/run-command.ts';
import { type SlipwayProcess, startSlipway, upAnswer } from '../cli/slipway-process.ts';
import { openTestDatabase } from '../support/database.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Collector, drawTree, openCollector } from './collector.ts';

const CREATE_AND_BUILD = `mutation Begin($input: CreateAndBuildInput!) {
  createAndBuild(input: $input) { ... on CreateAndBuildPayload { build { id traceId } } }
}`;
const STATUS = 'query ($id: ID!) { build(id: $id) { status traceId callbacks { status } } }';
const PROMPT_WORDS = 'the ship sails at dawn';

let opened: AsyncDisposableStack;
let environment: Record<string, string>;
let token: string;
let receiver: Receiver;
beforeEach(async () => {
  opened = new AsyncDisposableStack();
  const database = opened.use(await openTestDatabase());
  const dataFolder = await mkdtemp(join(tmpdir(), 'slipway-traces-'));
  opened.defer(() => rm(dataFolder, { recursive: true, force: true, maxRetries: 5 }));
  environment = {
    SLIPWAY_DATABASE_URL: database.url,
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_PORT: '0',
    SLIPWAY_LOG_LEVEL: 'debug',
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
    SLIPWAY_SANDBOX: 'none',
    SLIPWAY_LOCAL_REPOSITORIES: 'true',
    SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
  };
  token = (await runCommand(['token', 'create', 't', '--scope', 'admin', '--database'], { environment })).stdout.trim();
  receiver = opened.use(await openReceiver());
});
afterEach(() => opened.disposeAsync());

interface Services {
  readonly url: string;
  readonly serve: SlipwayProcess;
  readonly work: SlipwayProcess;
}

async function startServices(more: Record<string, string>): Promise<Services> {
  const start = (command: string) => {
    const slipway = startSlipway([command, '--json'], { ...environment, ...more });
    opened.defer(() => void slipway.child.kill('SIGKILL'));
    return slipway;
  };
  const [serve, work] = [start('serve'), start('work')];
  const [{ url }] = await Promise.all([upAnswer(serve), upAnswer(work)]);
  return { url, serve, work };
}

async function post<T>(
  url: string,
  query: string,
  variables: object,
  headers: Record<string, string> = {},
): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return ((await response.json()) as { data: T }).data;
}

interface Shown {
  readonly status: string;
  readonly traceId: string;
  readonly callbacks: readonly { readonly status: string }[];
}

/** A build of a new project, once it has ended and its callback is delivered. */
async function build({ url }: Services, headers: Record<string, string> = {}): Promise<Shown & { id: string }> {
  const prompt = `${PROMPT_WORDS}\n${script({ write: { path: 'a.txt', content: 'a\n' } })}`;
  const input = {
    project: { name: `p ${randomBytes(4).toString('hex')}` },
    spec: { prompt, callbackUrl: receiver.url },
  };
  const { createAndBuild } = await post<{ createAndBuild: { build: { id: string } } }>(
    url,
    CREATE_AND_BUILD,
    { input },
    headers,
  );
  const { id } = createAndBuild.build;
  const shown = await waitFor(
    async () => {
      const { build: now } = await post<{ build: Shown }>(url, STATUS, { id });
      return now.callbacks.some(({ status }) => status === 'DELIVERED') ? now : null;
    },
    { everyMs: 100, deadlineMs: 40_000, what: 'the callback' },
  );
  return { ...shown, id };
}

/** Milliseconds until both have ended. */
async function stop({ serve, work }: Services): Promise<number> {
  const began = performance.now();
  for (const { child } of [work, serve]) child.kill('SIGTERM');
  expect(await Promise.all([work.ended, serve.ended])).toEqual([0, 0]);
  return performance.now() - began;
}

const linesOf = ({ stderr }: SlipwayProcess) =>
  stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a build is one trace, from the request over both processes to the callback', async () => {
  const collector = opened.use(await openCollector());
  const services = await startServices({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20b',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  });
  const [traceId, callerSpan] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  const shown = await build(services, { traceparent: `00-${traceId}-${callerSpan}-01` });
  await stop(services);

  expect(shown).toMatchObject({ status: 'COMPLETED', traceId });
  const spans = collector.spans().filter((span) => span.traceId === traceId);
  expect(drawTree(spans, callerSpan)).toEqual([
    'GraphQL mutation',
    '  BUILD',
    '    queue',
    '    attempt',
    '      PREPARING',
    '        checkout.prepareCheckout',
    '        checkout.createAgentRepository',
    '        checkout.writeNpmConfig',
    '      AGENT',
    '        agent',
    '      VERIFYING',
    '        checkout.agentMovedHead',
    '        checkout.commitChanges',
    '        checkout.findSecrets',
    '      PUBLISHING',
    '        checkout.packCommit',
    '        checkout.pushCommit',
    '        checkout.isOnRemote',
    '      COLLECTING',
    '    callback',
  ]);
  const run = spans.find(({ name }) => name === 'BUILD');
  expect(run?.attributes).toMatchObject({
    'cicd.pipeline.run.id': shown.id,
    'cicd.pipeline.result': 'success',
    'vcs.ref.head.name': 'main',
  });
  expect(run?.resource).toMatchObject({ 'service.name': 'slipway', 'deployment.environment.name': 'test' });
  expect(spans.map(({ status }) => status)).not.toContain(2);
  const callback = spans.find(({ name }) => name === 'callback');
  expect(receiver.received[0]?.headers.traceparent).toBe(`00-${traceId}-${callback?.spanId}-01`);

  for (const { path, headers, body } of collector.requests) {
    expect({ path, key: headers['x-key'] }).toEqual({ path: '/v1/traces', key: 'a b' });
    for (const secret of [PROMPT_WORDS, token, receiver.url]) expect(body.includes(secret)).toBe(false);
  }
  const attempt = linesOf(services.work).filter((line) => line.attempt === 1);
  expect(attempt.length).toBeGreaterThan(0);
  for (const line of attempt) {
    expect(line).toMatchObject({
      build: shown.id,
      trace_id: traceId,
      span_id: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  }
});

test('a collector that hangs delays neither a build nor the end of a process', async () => {
  const collector = opened.use(await openCollector('hang'));
  const services = await startServices({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
  const { id, status } = await build(services);
  expect(status).toBe('COMPLETED');
  await waitFor(() => collector.requests.length > 0, { what: 'the first batch' });
  const before = collector.requests.length;
  await post(services.url, STATUS, { id });
  console.log(`ended in ${Math.round(await stop(services))} ms beside a collector that hangs`);
  await waitFor(() => collector.requests.every(({ isCut }) => isCut), { what: 'the end of all requests' });
  // The last batches were sent, and nobody waited until they were given up and tried again.
  const sent = (from: number, to?: number) =>
    collector.requests.slice(from, to).map(({ body }) => body.toString('hex'));
  const last = sent(before).filter((body) => !sent(0, before).includes(body));
  expect(last.length).toBeGreaterThan(0);
  expect(new Set(last).size).toBe(last.length);
  const [first] = collector.requests;
  expect(first?.headers['content-type']).toBe('application/x-protobuf');
  expect(first?.body.length).toBeGreaterThan(100);
});

test('a collector that is gone is said once', async () => {
  const gone: Collector = await openCollector();
  await gone[Symbol.asyncDispose]();
  const services = await startServices({ OTEL_EXPORTER_OTLP_ENDPOINT: gone.url });
  const isSaid = (line: Record<string, unknown>) => String(line.msg).startsWith('the collector takes no traces');
  expect(await build(services)).toMatchObject({ status: 'COMPLETED' });
  await waitFor(() => linesOf(services.work).some(isSaid), { what: 'the warning' });
  expect(await build(services)).toMatchObject({ status: 'COMPLETED' });
  await stop(services);
  expect(linesOf(services.work).filter(isSaid)).toHaveLength(1);
});

test('without a collector nothing of OpenTelemetry is loaded, and the ids go from hand to hand', async () => {
  const preload = pathToFileURL(join(import.meta.dirname, '../support/print-loaded.ts')).href;
  const services = await startServices({ NODE_OPTIONS: `--import=${preload}`, SLIPWAY_WORKER_PORT: '0' });
  const { healthUrl } = JSON.parse(services.work.stdout) as { healthUrl: string };
  expect((await fetch(`${healthUrl}/healthz`)).status).toBe(200);
  const shown = await build(services);
  expect(shown.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(receiver.received[0]?.headers.traceparent).toMatch(new RegExp(`^00-${shown.traceId}-[0-9a-f]{16}-00$`));
  await stop(services);
  for (const slipway of [services.serve, services.work]) expect(slipway.stderr).not.toContain('loaded @opentelemetry');
});
