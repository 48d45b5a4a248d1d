import { DrainWorkerDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findWorkerId } from './find-worker.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';
import { printWorker } from './worker-order.ts';

export interface WorkerDrainFlags extends ClientFlags {
  /** Milliseconds. */
  readonly grace?: number;
  readonly leave?: boolean;
}

const DEFAULT_GRACE_MS = 10 * 60_000;

export function workerDrain(io: Io, name: string, flags: WorkerDrainFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const id = await findWorkerId(session, name);
    const graceSeconds = (flags.grace ?? DEFAULT_GRACE_MS) / 1_000;
    const input = { id, graceSeconds, mode: flags.leave ? ('LEAVE' as const) : ('PUT_BACK' as const) };
    const { drainWorker } = await session.client.request(DrainWorkerDocument, { input });
    printWorker(session, accepted(drainWorker, 'DrainWorkerPayload').worker);
    return EXIT.done;
  });
}
