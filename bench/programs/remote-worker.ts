/** A remote worker with builds whose events come from here: `slipway work --server`, without agents. */
import { v7 } from 'uuid';
import type { NewBuildEvent } from '../../src/events/event.ts';
import { ApiCoordinator } from '../../src/remote/api-coordinator.ts';
import { Connection, type ConnectionOptions } from '../../src/remote/connection.ts';
import { closedLoop, type Load } from '../load.ts';

export interface RemoteWorker extends ConnectionOptions {
  readonly builds: number;
  readonly event: NewBuildEvent;
  /** What a build has gathered while its earlier entry was on its way. */
  readonly perEntry: number;
}

const BEAT_EVERY_MS = 3_000;

export async function main({ builds, event, perEntry, ...server }: RemoteWorker) {
  const id = v7();
  const coordinator = new ApiCoordinator(new Connection(server), id);
  await coordinator.register(
    { id, name: 'bench', place: 'elsewhere', version: '0', capacity: builds, agents: [] },
    builds,
  );
  const claimed = await coordinator.claim(['provider:scripted'], builds);
  const ledgers = claimed.map((build) => coordinator.openLedger(build));
  const attempts = claimed.map(({ id: buildId, attemptNo }) => ({ buildId, attemptNo }));
  const beats = setInterval(() => coordinator.heartbeat(attempts), BEAT_EVERY_MS);
  const events = Array.from({ length: perEntry }, () => event);
  return {
    /** Entries, two of each build at a time. */
    run: ({ seconds }: { readonly seconds: number }): Promise<Load> =>
      closedLoop({ seconds, outstanding: builds * 2 }, async (index) => ledgers[index % builds]?.write({ events })),
    claimed: () => claimed.length,
    close: () => clearInterval(beats),
  };
}
