/** What a remote worker asks besides what it does with its builds. */
import { sql } from 'kysely';
import { DriftCounter } from '../agents/drift.ts';
import type { Viewer } from '../auth/viewer.ts';
import { claimBuilds, giveBack, heartbeat } from '../builds/claim-builds.ts';
import { rescueBuilds } from '../builds/rescue-builds.ts';
import { WORKERS_TOPIC } from '../events/topics.ts';
import type { Orchestrator } from '../orchestrator.ts';
import type { Answers, RequestName, RequestOf } from '../remote/protocol.ts';
import { recordDrift } from '../workers/agent-drift.ts';
import { findRemains } from '../workers/find-remains.ts';
import { isElsewhere } from '../workers/is-elsewhere.ts';
import { findNeighbours, insertWorker, markDraining, markStopped, updateAgents } from '../workers/registry.ts';
import { readStanding } from '../workers/standing.ts';
import type { WorkerHints } from './worker-hints.ts';
import { WorkerProblem } from './worker-problem.ts';

export interface WorkerCall {
  readonly viewer: Viewer;
  readonly workerId: string;
  /** Aborts when the caller is gone. */
  readonly gone: AbortSignal;
}

type Handlers = {
  readonly [R in RequestName]: (call: WorkerCall, request: RequestOf<R>) => Promise<Answers[R]>;
};

export function workerRequests(orchestrator: Orchestrator, hints: WorkerHints): Handlers {
  const { db, controlDb, config, hub } = orchestrator;
  const { remoteLeaseSeconds: leaseSeconds } = config;
  const done = async (work: Promise<unknown>) => {
    await work;
    return null;
  };
  const changed = async (work: Promise<unknown>) => {
    await work;
    hub.announce(WORKERS_TOPIC);
    return null;
  };
  return {
    async register({ viewer, workerId: id }, { process, place, ...worker }) {
      const { tokenId } = viewer;
      // Whatever it calls its place, it is beside nobody but workers of the same token.
      const registered = { ...worker, id, place: placeOf(viewer, place) };
      await insertWorker(db, registered, { process, tokenId });
      await refuseOthers(orchestrator, viewer, id);
      hub.announce(WORKERS_TOPIC);
      return { leaseSeconds, neighbours: await findNeighbours(db, registered) };
    },
    async dead(call, { workerIds }) {
      const place = await findPlace(orchestrator, call);
      const { rows } = await sql<{ id: string }>`
        select id from workers
         where id = any(${[...workerIds]}::uuid[]) and token_id = ${call.viewer.tokenId} and host = ${place}
           and id <> ${call.workerId}`.execute(db);
      const workers = rows.map(({ id }) => id);
      if (workers.length === 0) return null;
      await markStopped(db, workers);
      await rescueBuilds(orchestrator, { workers });
      return null;
    },
    claim: (call, request) => claim(orchestrator, call, request),
    standing: ({ workerId }) => readStanding(db, workerId),
    async heartbeat({ workerId }, { attempts }) {
      const { owned, unknown } = await heartbeat({ db: controlDb }, { workerId, attempts, leaseSeconds });
      const standing = await readStanding(controlDb, workerId);
      return { standing, owned: [...owned].map(([buildId, state]) => ({ buildId, ...state })), unknown };
    },
    async hints({ workerId, gone }, { buildIds, seconds }) {
      const { rows } = await sql<{ id: string }>`
        select id from build_audit
         where id = any(${[...buildIds]}::uuid[]) and worker_id = ${workerId} and status = 'RUNNING'`.execute(db);
      const own = rows.map(({ id }) => id);
      return hints.next({ workerId, buildIds: own }, { ms: seconds * 1_000, gone });
    },
    'give-back': ({ workerId }, { attempt }) => done(giveBack(orchestrator, workerId, attempt)),
    async elsewhere(call, { buildId }) {
      return isElsewhere(db, { buildId, place: await findPlace(orchestrator, call) });
    },
    async remains(call, { buildIds }) {
      return findRemains(db, { buildIds, place: await findPlace(orchestrator, call) });
    },
    agents: ({ workerId }, { agents }) => done(updateAgents(db, workerId, agents)),
    drift(_, { drift }) {
      const counter = new DriftCounter();
      for (const found of drift) counter.add(found);
      return done(recordDrift(db, counter, new Map()));
    },
    drain: ({ workerId }) => changed(markDraining(db, workerId)),
    stop: ({ workerId }) => changed(markStopped(db, [workerId])),
  };
}

async function claim(
  orchestrator: Orchestrator,
  { viewer, workerId }: WorkerCall,
  { labels: asked, limit }: RequestOf<'claim'>,
): Promise<Answers['claim']> {
  const { db, config } = orchestrator;
  const standing = await readStanding(db, workerId);
  if (!standing.takesWork) return [];
  // Which agents there are only it can say; what else it is good for was said when it came.
  const labels = [...new Set([...standing.labels, ...asked.filter((label) => label.startsWith('provider:'))])];
  const row = await db.selectFrom('workers').select('name').where('id', '=', workerId).executeTakeFirstOrThrow();
  const projectIds = await findDistantProjects(orchestrator, viewer);
  const claimer = { workerId, workerName: row.name, labels, projectIds, leaseSeconds: config.remoteLeaseSeconds };
  return projectIds.length === 0 ? [] : claimBuilds(orchestrator, claimer, limit);
}

/** Throws WorkerProblem when the worker is not one that this token speaks for. */
export async function refuseOthers({ db }: Orchestrator, { tokenId }: Viewer, workerId: string): Promise<void> {
  const row = await db.selectFrom('workers').select('token_id').where('id', '=', workerId).executeTakeFirst();
  if (row?.token_id !== tokenId) throw new WorkerProblem(404, 'There is no such worker of this token.');
}

function placeOf({ tokenId }: Viewer, place: string): string {
  return `remote:${tokenId}:${place}`;
}

async function findPlace({ db }: Orchestrator, { workerId }: WorkerCall): Promise<string> {
  const row = await db.selectFrom('workers').select('host').where('id', '=', workerId).executeTakeFirstOrThrow();
  return row.host;
}

/** Of those that the token sees: a repository in the server's data folder, or a path there, can be reached from no other machine. */
async function findDistantProjects({ db }: Orchestrator, { projectIds }: Viewer): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from projects
     where repository_url is not null and repository_url not like '/%'
       and (${projectIds === null} or id = any(${[...(projectIds ?? [])]}::uuid[]))`.execute(db);
  return rows.map(({ id }) => id);
}
