/** Traces of builds that do not go well, and what a caller is told when Slipway is the reason. */
import { expect, test } from 'vitest';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { withScope } from '../../src/telemetry/trace-scope.ts';
import { openFixtureServer } from '../server/open-fixture-server.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { drawTree, openCollector } from './collector.ts';

test('the next attempt goes on in the trace, and a failure is seen from the top', async () => {
  await using collector = await openCollector();
  const otel = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' };
  await using stack = await openTestStack({ SLIPWAY_LOG_LEVEL: 'silent', ...otel });
  const { orchestrator } = stack;
  const { tracing } = orchestrator.telemetry;
  const project = await stack.createProject();
  const input = { projectId: project.id, spec: { prompt: script({ print: 'nothing to do' }) } };
  const span = { name: 'asked', parent: null };
  const { build } = await withScope({ tracing, span }, () => startBuild(orchestrator, input, 'test'));
  const dead = await registerByHand(stack);
  await claimByHand(stack, dead);
  await rescueBuilds(orchestrator, { workers: [dead] });
  const worker = await stack.openWorker();
  expect(await stack.finished(build.id)).toMatchObject({ attemptNo: 2, failure: { reason: 'NO_CHANGES' } });
  await waitFor(() => worker.running === 0, { what: 'the end of the attempt' });
  await orchestrator.telemetry[Symbol.asyncDispose]();

  const spans = collector.spans();
  expect(drawTree(spans, '')).toEqual([
    'asked',
    '  BUILD',
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
    '        checkout.readDiskSpace',
  ]);
  const failed = spans.filter(({ status }) => status === 2);
  expect(failed.map(({ name }) => name).sort()).toEqual(['BUILD', 'VERIFYING', 'attempt']);
  for (const { attributes } of failed) expect(attributes['error.type']).toBe('NO_CHANGES');
});

test('what Slipway is the reason for names the trace of the request', async () => {
  await using server = await openFixtureServer();
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const { errors } = await server.post('{ defect }', {
    headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
  });
  expect(errors[0]?.extensions).toMatchObject({ code: 'INTERNAL', traceId });
  const own = await server.post('{ defect }', { headers: { traceparent: 'nonsense' } });
  expect(own.errors[0]?.extensions.traceId).toMatch(/^[0-9a-f]{32}$/);
  const counted = server.stack.orchestrator.telemetry.systemErrors.read().filter(({ value }) => value > 0);
  expect(counted).toEqual([{ labels: { cicd_system_component: 'api' }, value: 2 }]);
});
