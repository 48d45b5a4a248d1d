/** What one request reads of builds and tasks that wait: only of those that its viewer was given. */
import DataLoader from 'dataloader';
import type { Database } from '../src/database/database.ts';
import { readQueuePositions } from '../src/stats/queue-positions.ts';
import { readUsualDurations } from '../src/stats/start-estimates.ts';
import { readWaits, type Wait } from '../src/stats/wait-reasons.ts';

export interface QueueLoaders {
  /** By build or task: why it waits; null when it does not. */
  readonly wait: DataLoader<string, Wait | null>;
  /** By build: null when it is not in the queue. */
  readonly queuePosition: DataLoader<string, number | null>;
  /** By project: milliseconds; null when no build has ended yet. */
  readonly usualDuration: DataLoader<string, number | null>;
}

export function queueLoaders(db: Database): QueueLoaders {
  return {
    wait: fromMap((ids) => readWaits(db, ids)),
    queuePosition: fromMap((ids) => readQueuePositions(db, ids)),
    usualDuration: fromMap((ids) => readUsualDurations(db, ids)),
  };
}

function fromMap<Value>(read: (ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>) {
  return new DataLoader<string, Value | null>(async (ids) => {
    const found = await read(ids);
    return ids.map((id) => found.get(id) ?? null);
  });
}
