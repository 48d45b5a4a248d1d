/** API processes that listen, as many as connections: each has the hub that a server has, and waits for every build. */
import { openDatabase } from '../../src/database/database.ts';
import { MIGRATION_LIMITS } from '../../src/database/session-settings.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { type HeardTerms, heardByAll } from './heard.ts';

export async function main({
  url,
  count,
  builds,
}: {
  readonly url: string;
  readonly count: number;
  readonly builds: readonly string[];
}) {
  const logger = createLogger('error');
  const db = openDatabase({ url, poolSize: 1, name: 'listeners', logger, limits: MIGRATION_LIMITS });
  const hubs: EventHub[] = [];
  const heard: Set<string>[] = [];
  for (let n = 0; n < count; n += 1) {
    const hub = new EventHub({ url, db, logger });
    await hub.open();
    const own = new Set<string>();
    for (const build of builds) hub.on(eventsTopic(build), () => own.add(build));
    hubs.push(hub);
    heard.push(own);
  }
  return {
    heard: (terms: HeardTerms) => heardByAll(heard, terms),
    async close() {
      for (const hub of hubs) await hub[Symbol.asyncDispose]();
      await db.destroy();
    },
  };
}
