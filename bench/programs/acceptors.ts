/** API processes, as many as `count`, each with an acceptor, connections and a hub of its own, and one caller at a time. */
import { Acceptor } from '../../src/builds/acceptor.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { openDatabase } from '../../src/database/database.ts';
import { CONTROL_LIMITS } from '../../src/database/session-settings.ts';
import { EventHub } from '../../src/events/event-hub.ts';
import { projectTopic } from '../../src/events/topics.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { closedLoop, type Load } from '../load.ts';
import { openProduct } from '../product.ts';
import { type HeardTerms, heardByAll } from './heard.ts';

export interface Acceptors {
  readonly databaseUrl: string;
  readonly count: number;
  /** Whether others are told of a build. */
  readonly tells: boolean;
  readonly projectIds: readonly string[];
}

class SilentHub extends EventHub {
  override announce(): void {}
}

type Caller = Pick<Orchestrator, 'db' | 'hub' | 'acceptor'>;

/** Different ones, spread over the projects, as a pseudo-random sequence of its own. */
const STEP = 617;

export async function main({ databaseUrl, count, tells, projectIds }: Acceptors) {
  await using opened = new AsyncDisposableStack();
  const { orchestrator } = opened.use(await openProduct(databaseUrl));
  const callers: Caller[] = [];
  const heard: Set<string>[] = [];
  for (let n = 0; n < count; n += 1) {
    const caller = await openCaller(orchestrator, tells, opened);
    callers.push(caller);
    if (!tells) continue;
    const own = new Set<string>();
    for (const id of projectIds) caller.hub.on(projectTopic(id), () => own.add(id));
    heard.push(own);
  }
  const resources = opened.move();
  return {
    async run({ seconds, from }: { readonly seconds: number; readonly from: number }): Promise<Load> {
      const free = [...callers];
      return closedLoop({ seconds, outstanding: count }, async (index) => {
        const caller = free.pop() as Caller;
        const projectId = projectIds[((from + index) * STEP) % projectIds.length] ?? '';
        await startBuild({ ...orchestrator, ...caller }, { projectId, spec: { prompt: 'Go on.' } }, 'token_bench');
        free.push(caller);
      });
    },
    heard: (terms: HeardTerms) => heardByAll(heard, terms),
    close: () => resources.disposeAsync(),
  };
}

async function openCaller(orchestrator: Orchestrator, tells: boolean, opened: AsyncDisposableStack): Promise<Caller> {
  const { logger, databaseUrl: url } = orchestrator;
  const db = openDatabase({ url, poolSize: 2, name: 'api process', logger, limits: CONTROL_LIMITS });
  opened.defer(() => db.destroy());
  const hub = opened.use(new (tells ? EventHub : SilentHub)({ url, db, logger }));
  if (tells) await hub.open();
  return { db, hub, acceptor: opened.use(new Acceptor({ ...orchestrator, db, hub })) };
}
