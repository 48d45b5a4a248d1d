import { ShowWorkerDocument, type ShowWorkerQuery } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findWorkerId, noWorker } from './find-worker.ts';
import { formatBytes, formatDuration, formatTable, formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface WorkerShowFlags extends ClientFlags {
  readonly limit: number;
}

type Worker = NonNullable<ShowWorkerQuery['worker']>;

export function workerShow(io: Io, reference: string, flags: WorkerShowFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const id = await findWorkerId(session, reference);
    const { worker } = await client.request(ShowWorkerDocument, { id, first: flags.limit });
    if (!worker) throw noWorker(reference);
    if (output.json) output.value({ ...worker, history: worker.history.nodes });
    else {
      output.line(formatTable(factsOf(worker)));
      if (worker.history.nodes.length > 0) {
        output.line('');
        output.table(attemptsOf(worker));
      }
    }
    return EXIT.done;
  });
}

function factsOf(worker: Worker): string[][] {
  const { hardware, cordonedAt, cordonedBy, drainUntil, evictedAt } = worker;
  const machine = hardware && [
    hardware.platform,
    hardware.arch,
    `${hardware.cpus} processors`,
    formatBytes(hardware.memoryBytes),
  ];
  return [
    ['Worker', oneLine(worker.name)],
    ['Id', worker.id],
    ['Status', worker.status],
    ['Runs', `${worker.running} of ${worker.capacity}`],
    ['Version', oneLine(worker.version)],
    ['Place', worker.remote ? 'over the API' : 'beside the database'],
    ['Labels', oneLine(worker.labels.join(', '), 1_000) || '-'],
    ...(machine ? [['Machine', oneLine(machine.join(', '))]] : []),
    ['Started', formatTime(worker.startedAt)],
    ['Heard of', formatTime(worker.lastHeartbeatAt)],
    ...(cordonedAt ? [['Cordoned', `${formatTime(cordonedAt)} by ${cordonedBy}`]] : []),
    ...(drainUntil ? [['Drained', `until ${formatTime(drainUntil)}`]] : []),
    ...(evictedAt ? [['Evicted', formatTime(evictedAt)]] : []),
  ];
}

function attemptsOf({ history }: Worker): string[][] {
  const rows = history.nodes.map(({ build, attemptNo, startedAt, durationMs, outcome }) => [
    `${build.project.slug}#${build.number}`,
    String(attemptNo),
    formatTime(startedAt),
    durationMs === null ? '-' : formatDuration(durationMs),
    outcome ?? 'runs',
  ]);
  return [['BUILD', 'ATTEMPT', 'BEGAN', 'TOOK', 'OUTCOME'], ...rows];
}
