/** The parts of a running Slipway, opened in order and closed in reverse. */
import { schema } from '../../schema/index.ts';
import { CallbackDelivery } from '../callbacks/deliver-callbacks.ts';
import type { Config } from '../config/config.ts';
import { type Orchestrator, openOrchestrator } from '../orchestrator.ts';
import { type OpenServer, openServer } from '../server/http-server.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Worker } from '../workers/worker.ts';
import { CliError } from './exit-code.ts';

export interface ServiceOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Of a migrated database. */
  readonly databaseUrl: string;
  /** Serve the API. */
  readonly api: boolean;
  /** Run builds and deliver callbacks. */
  readonly work: boolean;
}

export interface Service extends AsyncDisposable {
  readonly orchestrator: Orchestrator;
  /** Null without `api`. */
  readonly server: OpenServer | null;
  /** Lets running builds go on for `graceMs`; a second call with a shorter time shortens the first. */
  drain(graceMs: number): Promise<void>;
}

/** Throws CliError when the port is taken or may not be opened. */
export async function openService(options: ServiceOptions): Promise<Service> {
  const { config, logger, databaseUrl, api, work } = options;
  await using opened = new AsyncDisposableStack();
  const orchestrator = opened.use(await openOrchestrator({ config, logger, databaseUrl, supervise: work }));
  // Before the worker, so that progress can be watched until the last build is drained.
  const server = api ? opened.use(await openApi(orchestrator)) : null;
  const worker = work ? await openWork(opened, orchestrator) : null;
  const resources = opened.move();
  return {
    orchestrator,
    server,
    drain: async (graceMs) => worker?.drain(graceMs),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function openWork(opened: AsyncDisposableStack, orchestrator: Orchestrator): Promise<Worker> {
  const { config } = orchestrator;
  const delivery = opened.use(new CallbackDelivery(orchestrator));
  delivery.open();
  const worker = opened.use(new Worker(orchestrator, { name: config.workerName, capacity: config.workerCapacity }));
  await worker.open();
  return worker;
}

async function openApi(orchestrator: Orchestrator): Promise<OpenServer> {
  const { host, port } = orchestrator.config;
  try {
    return await openServer({ orchestrator, schema, host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const place = `${host}:${port}`;
    if (code === 'EADDRINUSE') {
      throw new CliError(`${place} is in use by another program.`, {
        code,
        hints: ['Choose another port with SLIPWAY_PORT, or 0 for a free one.'],
      });
    }
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new CliError(`Cannot listen on ${place} (${code}).`, {
        code,
        hints: ['Choose another address or port with SLIPWAY_HOST and SLIPWAY_PORT.'],
      });
    }
    throw error;
  }
}
