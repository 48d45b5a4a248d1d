import { EventHub } from '../../src/events/event-hub.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { TestDatabase } from './database.ts';

/** That of a process of its own; it listens. */
export async function openTestHub({ db, url }: TestDatabase): Promise<EventHub> {
  const hub = new EventHub({ db, url, logger: createLogger('silent') });
  await hub.open();
  return hub;
}
