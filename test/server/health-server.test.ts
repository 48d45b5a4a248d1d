import { expect, test } from 'vitest';
import { schema } from '../../schema/index.ts';
import { openHealthServer } from '../../src/server/health-server.ts';
import { openServer } from '../../src/server/http-server.ts';
import { openFakeKubeApi, sendStatus } from '../support/fake-kube-api.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';

test('a worker is ready only while the cluster answers, and alive all the time; an API takes builds meanwhile', async () => {
  await using fake = await openFakeKubeApi();
  fake.answer = (_request, response) => sendStatus(response, 403, 'Forbidden', 'pods is forbidden: cannot list');
  await using stack = await openTestStack({
    ...{ SLIPWAY_RUNTIME: 'kubernetes', SLIPWAY_LOCAL_REPOSITORIES: '', KUBECONFIG: fake.kubeconfig },
    ...{ SLIPWAY_KUBERNETES_IMAGE: 'agent', SLIPWAY_KUBERNETES_TOOLS_IMAGE: 'slipway', SLIPWAY_LOG_LEVEL: 'silent' },
  });
  const { orchestrator } = stack;
  const draining = new AbortController();
  const where = { orchestrator, host: '127.0.0.1', port: 0, draining: draining.signal };
  await using worker = await openHealthServer(where);
  await using api = await openServer({ ...where, schema });
  const ask = async (url: string) => (await fetch(url)).status;

  await waitFor(() => orchestrator.runtime.problem()?.includes('cannot list'));
  const red = await fetch(`${worker.url}/readyz`);
  expect(red.status).toBe(503);
  expect(await red.json()).toMatchObject({
    check: 'runtime',
    detail: expect.stringMatching(/^No builds are claimed until they can be run\. The cluster .*cannot list/),
  });
  expect(await ask(`${worker.url}/healthz`)).toBe(200);
  expect(await ask(`${api.url}/readyz`)).toBe(200);

  fake.answer = null;
  await waitFor(async () => (await ask(`${worker.url}/readyz`)) === 200, { what: 'the worker' });
  draining.abort();
  expect(await (await fetch(`${worker.url}/readyz`)).json()).toMatchObject({ check: 'draining' });
});
