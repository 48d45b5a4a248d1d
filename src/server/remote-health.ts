/** Health checks of a worker that reaches only the API. Metrics are its server's, which counts it, too. */
import type { Worker } from '../workers/worker.ts';
import { type HealthServer, openProbeServer } from './probe-server.ts';
import { createProbes, type FailingCheck } from './probes.ts';

export interface RemoteHealthOptions {
  readonly worker: Pick<Worker, 'isAnswered'>;
  /** Why nothing can be run here now; null when it can. */
  readonly runtimeProblem: () => string | null;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Aborts when this process is about to end: it is not ready from then on. */
  readonly draining: AbortSignal;
}

/** Rejects with the system's error (EADDRINUSE, EACCES) when the port cannot be opened. */
export function openRemoteHealth(options: RemoteHealthOptions): Promise<HealthServer> {
  return openProbeServer(
    createProbes(async () => findFailing(options)),
    options,
  );
}

function findFailing({ worker, runtimeProblem, draining }: RemoteHealthOptions): FailingCheck | null {
  if (draining.aborted) return { name: 'draining', detail: 'This process ends soon.' };
  if (!worker.isAnswered) return { name: 'server', detail: 'The server does not answer.' };
  const problem = runtimeProblem();
  return problem === null
    ? null
    : { name: 'runtime', detail: `No builds are claimed until they can be run. ${problem}` };
}
