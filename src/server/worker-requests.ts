/** What a remote worker asks besides what it does with its builds. */
import { sql } from 'kysely';
import { DriftCounter } from '../agents/drift.ts';
import type { Viewer } from '../auth/viewer.ts';
import { claimBuilds, giveBack, heartbeat } from '../builds/claim-builds.ts';
import { inheritBuilds } from '../builds/rescue-builds.ts';
import { taskTopic, WORKERS_TOPIC, workerTopic } from '../events/topics.ts';
import type { Orchestrator } from '../orchestrator.ts';
import type { Answers, RequestOf } from '../remote/protocol.ts';
import { recordDrift } from '../workers/agent-drift.ts';
import { findRemains } from '../workers/find-remains.ts';
import { isElsewhere } from '../workers/is-elsewhere.ts';
import { findNeighbours, insertWorker, markDraining, markStopped, updateAgents } from '../workers/registry.ts';
import { readStanding } from '../workers/standing.ts';
import type { Handlers, WorkerCall } from './worker-call.ts';
import { findClaimer } from './worker-claimer.ts';
import type { WorkerHints } from './worker-hints.ts';
import { WorkerProblem } from './worker-problem.ts';
import { taskRequests } from './worker-tasks.ts';

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
    async dead(call, { workerIds, places = 0 }) {
      const place = await findPlace(orchestrator, call);
      const { rows } = await sql<{ id: string }>`
        select id from workers
         where id = any(${[...workerIds]}::uuid[]) and token_id = ${call.viewer.tokenId} and host = ${place}
           and id <> ${call.workerId}`.execute(db);
      const workers = rows.map(({ id }) => id);
      if (workers.length === 0) return [];
      await markStopped(db, workers);
      const claimer = places > 0 ? await findClaimer(db, call, []) : null;
      return inheritBuilds(orchestrator, workers, claimer && { ...claimer, leaseSeconds, places });
    },
    claim: (call, request) => claim(orchestrator, call, request),
    standing: ({ workerId }) => readStanding(db, workerId),
    async heartbeat({ workerId }, { attempts }) {
      const { owned, unknown } = await heartbeat({ db: controlDb }, { workerId, attempts, leaseSeconds });
      const standing = await readStanding(controlDb, workerId);
      return { standing, owned: [...owned].map(([buildId, state]) => ({ buildId, ...state })), unknown };
    },
    async hints({ workerId, gone }, { buildIds, tasks, seconds }) {
      const taskIds = tasks?.map(({ id }) => id) ?? [];
      const { rows } = await sql<{ id: string; isTask: boolean }>`
        select id, false as "isTask" from build_audit
         where id = any(${[...buildIds]}::uuid[]) and worker_id = ${workerId} and status = 'RUNNING'
        union all select id, true from tasks where id = any(${taskIds}::uuid[]) and worker_id = ${workerId}`.execute(
        db,
      );
      const topics = new Map(rows.map(({ id, isTask }) => [id, isTask ? taskTopic(id) : workerTopic(id)]));
      return hints.next({ workerId, topics, takesTasks: tasks !== undefined }, { ms: seconds * 1_000, gone });
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
    ...taskRequests(orchestrator),
  };
}

async function claim(
  orchestrator: Orchestrator,
  call: WorkerCall,
  { labels, limit }: RequestOf<'claim'>,
): Promise<Answers['claim']> {
  const claimer = await findClaimer(orchestrator.db, call, labels);
  const { remoteLeaseSeconds: leaseSeconds } = orchestrator.config;
  return claimer ? claimBuilds(orchestrator, { ...claimer, leaseSeconds }, limit) : [];
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
