/** Looks at the database now and then: how much is unfinished, what has failed and may be retried. */
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import type { Cluster } from './cluster.ts';
import type { ChaosProject } from './projects.ts';

const LOOK_EVERY_MS = 500;
const MEASURE_EVERY = 10;
const MAX_FAILED = 20;

export interface Monitor extends AsyncDisposable {
  /** Builds that were neither finished nor known to be when it was last looked. */
  readonly unfinished: number;
  /** The same of tasks that are no builds. */
  readonly unfinishedTasks: number;
  /** A build that has failed, each once; null when there is none. */
  takeFailed(): { readonly id: string; readonly project: ChaosProject } | null;
}

export function startMonitor(cluster: Pick<Cluster, 'db' | 'projects' | 'servers' | 'workers'>): Monitor {
  const stopping = new AbortController();
  const taken = new Set<string>();
  let unfinished = { builds: 0, tasks: 0 };
  let failed: readonly { id: string; project_id: string }[] = [];
  const look = async () => {
    const count = await countUnfinished(cluster.db);
    failed = await cluster.db
      .selectFrom('build_audit')
      .select(['id', 'project_id'])
      .where('status', '=', 'FAILED')
      .orderBy('finished_at', 'desc')
      .limit(MAX_FAILED)
      .execute();
    unfinished = count;
  };
  const watch = async () => {
    for (let round = 0; !stopping.signal.aborted; round += 1) {
      // Postgres may be away: what was seen last counts until it is back.
      await look().catch(() => {});
      if (round % MEASURE_EVERY === 0) {
        await Promise.all([...cluster.servers, ...cluster.workers].map(({ node }) => node.measure()));
      }
      await delay(LOOK_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  const watching = watch();
  return {
    get unfinished() {
      return unfinished.builds;
    },
    get unfinishedTasks() {
      return unfinished.tasks;
    },
    takeFailed() {
      const build = failed.find(({ id }) => !taken.has(id));
      const project = cluster.projects.find(({ id }) => id === build?.project_id);
      if (!build || !project) return null;
      taken.add(build.id);
      return { id: toPublicId('build', build.id), project };
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await watching;
    },
  };
}

export async function countUnfinished(db: Database): Promise<{ readonly builds: number; readonly tasks: number }> {
  const { rows } = await sql<{ builds: number; tasks: number }>`
    select (select count(*)::int from build_audit where finished_at is null) as builds,
           (select count(*)::int from tasks where finished_at is null) as tasks`.execute(db);
  return rows[0] ?? { builds: 0, tasks: 0 };
}
