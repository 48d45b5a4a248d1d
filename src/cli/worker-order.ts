import {
  CordonWorkerDocument,
  EvictWorkerDocument,
  UncordonWorkerDocument,
  type WorkerRowFragment,
} from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findWorkerId } from './find-worker.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';

export type WorkerOrder = 'cordon' | 'uncordon' | 'evict';

export function workerOrder(
  io: Io,
  { order, name }: { readonly order: WorkerOrder; readonly name: string },
  flags: ClientFlags,
): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const id = await findWorkerId(session, name);
    printWorker(session, await give(session, order, id));
    return EXIT.done;
  });
}

export function printWorker({ output }: Session, worker: WorkerRowFragment): void {
  if (output.json) output.value(worker);
  else output.line(`${oneLine(worker.name)} (${worker.id}) is ${worker.status}.`);
}

async function give({ client }: Session, order: WorkerOrder, id: string): Promise<WorkerRowFragment> {
  const input = { id };
  switch (order) {
    case 'cordon':
      return accepted((await client.request(CordonWorkerDocument, { input })).cordonWorker, 'CordonWorkerPayload')
        .worker;
    case 'uncordon':
      return accepted((await client.request(UncordonWorkerDocument, { input })).uncordonWorker, 'UncordonWorkerPayload')
        .worker;
    case 'evict':
      return accepted((await client.request(EvictWorkerDocument, { input })).evictWorker, 'EvictWorkerPayload').worker;
  }
}
