import { ListWorkersDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface WorkerListFlags extends ClientFlags {
  readonly label?: readonly string[];
  readonly all?: boolean;
  readonly limit: number;
}

const HEAD = ['WORKER', 'STATUS', 'RUNS', 'VERSION', 'LABELS', 'HEARD OF', 'ID'];

export function workerList(io: Io, flags: WorkerListFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const statuses = flags.all ? null : (['ONLINE', 'CORDONED', 'DRAINING'] as const);
    const filter = { labels: flags.label ?? [], statuses };
    const { nodes } = (await client.request(ListWorkersDocument, { first: flags.limit, filter })).workers;
    const rows = nodes.map((worker) => [
      oneLine(worker.name, 40),
      worker.status,
      `${worker.running}/${worker.capacity}`,
      oneLine(worker.version, 20),
      oneLine(worker.labels.join(','), 80) || '-',
      formatTime(worker.lastHeartbeatAt),
      worker.id,
    ]);
    if (output.json) output.value(nodes);
    else if (rows.length > 0) output.table([HEAD, ...rows]);
    else output.note('There are no such workers.');
    return EXIT.done;
  });
}
