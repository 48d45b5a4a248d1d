/** Remote workers, on a server of this process, through a network that can be cut. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v7 } from 'uuid';
import { createApiToken } from '../../src/auth/api-token.ts';
import { ApiCoordinator } from '../../src/remote/api-coordinator.ts';
import { ApiLedger } from '../../src/remote/api-ledger.ts';
import { Connection } from '../../src/remote/connection.ts';
import { openRemoteWorker } from '../../src/remote/open-remote-worker.ts';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import { openTelemetry } from '../../src/telemetry/telemetry.ts';
import type { Worker, WorkerOptions } from '../../src/workers/worker.ts';
import { openTestApi } from './api.ts';
import type { TestStack } from './orchestrator.ts';
import { openTcpProxy } from './tcp-proxy.ts';

export async function makeWorkToken({ orchestrator }: TestStack, projectIds: readonly string[] | null = null) {
  const input = { name: 'remote', scopes: ['work'], projectIds, expiresAt: null, createdBy: 'test' } as const;
  return (await createApiToken(orchestrator.db, input)).token;
}

/** A server, a proxy before it, and one registered worker that does nothing by itself. */
export async function openRemoteHarness(stack: TestStack) {
  await using opened = new AsyncDisposableStack();
  const api = opened.use(await openTestApi(stack));
  const proxy = opened.use(await openTcpProxy(api.port));
  const url = `http://127.0.0.1:${proxy.port}`;
  const token = await makeWorkToken(stack);
  const connection = new Connection({ url, token });
  const workerId = v7();
  const coordinator = new ApiCoordinator(connection, workerId);
  const worker = { id: workerId, name: 'far away', place: 'elsewhere', version: '1', capacity: 9, agents: [] };
  await coordinator.register(worker, 0);
  const resources = opened.move();
  return {
    api,
    proxy,
    url,
    token,
    connection,
    coordinator,
    workerId,
    async claim() {
      const [claimed] = await coordinator.claim(['provider:scripted'], 1);
      if (!claimed) throw new Error('nothing was claimed');
      return claimed;
    },
    open: ({ id, attemptNo }: { readonly id: string; readonly attemptNo: number }) =>
      new ApiLedger(connection, { workerId, buildId: id, attemptNo }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A remote worker in this process, with a data folder of its own; `url` leads to the server. */
export async function openFarWorker(
  stack: TestStack,
  { url, token, ...options }: { readonly url: string; readonly token: string } & Partial<WorkerOptions>,
) {
  await using opened = new AsyncDisposableStack();
  const dataFolder = await mkdtemp(join(tmpdir(), 'slipway-remote-'));
  opened.defer(() => rm(dataFolder, { recursive: true, force: true, maxRetries: 5 }));
  const config = { ...stack.orchestrator.config, dataFolder, token };
  const runtime = await openLocalRuntime({ folder: join(dataFolder, 'builds'), sandbox: null });
  const { logger, agents } = stack.orchestrator;
  const telemetry = opened.use(await openTelemetry(config, logger));
  const machine = { config, logger, agents, telemetry, runtime };
  const server = { url, token };
  const worker = opened.use(await openRemoteWorker(machine, { name: 'remote', capacity: 2, ...options, server }));
  const resources = opened.move();
  return { worker, dataFolder, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

export interface WorkerPlace extends AsyncDisposable {
  readonly worker: Worker;
  /** Where its workspaces are. */
  readonly dataFolder: string;
}

export interface WorkerPlaces extends AsyncDisposable {
  openWorker(capacity: number): Promise<WorkerPlace>;
}

/** The same worker where it may be: what it runs is to be the same. */
export const WORKER_PLACES: readonly (readonly [string, (stack: TestStack) => Promise<WorkerPlaces>])[] = [
  [
    'beside the database',
    async (stack) => ({
      async openWorker(capacity) {
        const worker = await stack.openWorker(capacity);
        return { worker, dataFolder: stack.dataFolder, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
      },
      [Symbol.asyncDispose]: async () => {},
    }),
  ],
  [
    'over the API',
    async (stack) => {
      const api = await openTestApi(stack);
      const server = { url: `http://127.0.0.1:${api.port}`, token: await makeWorkToken(stack) };
      return {
        openWorker: (capacity) => openFarWorker(stack, { ...server, capacity }),
        [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
      };
    },
  ],
];
