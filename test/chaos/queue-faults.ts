/** What operators do to the queue while everything is under load: pauses, limits that come and go, schedules that are due. */
import { sql } from 'kysely';
import type { Client } from '../../src/client/client.ts';
import {
  PauseProjectDocument,
  ResumeProjectDocument,
  SetCredentialLimitDocument,
  SetKeyLimitDocument,
  UpdateProjectDocument,
  UpdateQueueDocument,
} from '../../src/client/generated.ts';
import { isTransient } from '../../src/database/transient.ts';
import { Asker } from './asker.ts';
import { CONCURRENCY_KEYS } from './bots.ts';
import type { Cluster } from './cluster.ts';
import { type Fault, type FaultContext, SHORT_MS } from './fault.ts';
import { CREDENTIAL, SCHEDULES } from './projects.ts';
import { createRandom } from './random.ts';

const PAUSE_MS = [1_000, 3_000] as const;
/** As if nobody had been there for so long, in minutes. */
const MISSED = [0, 1, 3, 6];
const HEAL_WITHIN_MS = 60_000;

export const QUEUE_FAULTS: readonly Fault[] = [
  { name: 'a project is paused', weight: 3, target: aProject, run: pauseProject },
  {
    ...{ name: 'everything is paused', weight: 1, target: () => 'queue' },
    run: (context) => change(context, PAUSE_MS, pauseAll(true), pauseAll(false)),
  },
  {
    ...{ name: 'limit of all', weight: 2, target: () => 'queue' },
    run: (context) => change(context, SHORT_MS, limitAll(context.random.pick([2, 5, 9])), limitAll(null)),
  },
  {
    ...{ name: 'limit of a project', weight: 4, target: aProject },
    run: (context, id) =>
      change(context, SHORT_MS, limitProject(id, context.random.pick([0, 1, 3])), limitProject(id, null)),
  },
  {
    ...{ name: 'limit of a key', weight: 3, target: aProject },
    run: (context, id) => {
      const key = context.random.pick(CONCURRENCY_KEYS);
      return change(context, SHORT_MS, limitKey(id, key, context.random.pick([2, 4])), limitKey(id, key, null));
    },
  },
  {
    ...{ name: 'limit of a credential', weight: 4, target: () => 'credential' },
    run: (context) => change(context, PAUSE_MS, limitCredential(context.random.pick([0, 3, 6])), limitCredential(null)),
  },
  { name: 'a schedule is due', weight: 6, target: () => 'schedule', run: makeDue },
];

type Change = (client: Client) => Promise<{ readonly __typename: string }>;

const pauseAll =
  (paused: boolean): Change =>
  async (client) =>
    (await client.request(UpdateQueueDocument, { input: { paused } })).updateQueue;
const limitAll =
  (maxRunning: number | null): Change =>
  async (client) =>
    (await client.request(UpdateQueueDocument, { input: { maxRunning } })).updateQueue;
const limitProject =
  (id: string, maxRunning: number | null): Change =>
  async (client) =>
    (await client.request(UpdateProjectDocument, { input: { id, settings: { queue: { maxRunning } } } })).updateProject;
const limitKey =
  (projectId: string, key: string, maxRunning: number | null): Change =>
  async (client) =>
    (await client.request(SetKeyLimitDocument, { input: { projectId, key, maxRunning } })).setKeyLimit;
const limitCredential =
  (maxRunning: number | null): Change =>
  async (client) =>
    (await client.request(SetCredentialLimitDocument, { input: { name: CREDENTIAL, maxRunning } })).setCredentialLimit;
const resume =
  (id: string): Change =>
  async (client) =>
    (await client.request(ResumeProjectDocument, { input: { id } })).resumeProject;

/** The public id of one. */
function aProject({ cluster, random }: FaultContext): string {
  return random.pick(cluster.projects).publicId;
}

function pauseProject(context: FaultContext, id: string): Promise<boolean> {
  const pause: Change = async (client) => (await client.request(PauseProjectDocument, { input: { id } })).pauseProject;
  return change(context, PAUSE_MS, pause, resume(id));
}

/** False: nobody has answered in time. What is not taken back is when everything is healed. */
async function change(
  { cluster, random, signal, hold }: FaultContext,
  [min, max]: readonly [number, number],
  make: Change,
  takeBack: Change,
): Promise<boolean> {
  await using asker = new Asker({ cluster, random, stopping: signal, errors: {} });
  const until = () => performance.now() + max;
  const made = await asker.untilAnswered(make, until());
  if (made && !made.__typename.endsWith('Payload')) throw new Error(JSON.stringify(made));
  await hold(random.between(min, max));
  await asker.untilAnswered(takeBack, until());
  return made !== null;
}

/** Nothing is paused or limited any more. */
export async function freeQueue(cluster: Cluster): Promise<void> {
  const options = { cluster, random: createRandom(1), stopping: new AbortController().signal, errors: {} };
  await using asker = new Asker(options);
  const projects = cluster.projects.flatMap(({ publicId: id }) => [
    ...[resume(id), limitProject(id, null)],
    ...CONCURRENCY_KEYS.map((key) => limitKey(id, key, null)),
  ]);
  const until = performance.now() + HEAL_WITHIN_MS;
  for (const make of [pauseAll(false), limitAll(null), limitCredential(null), ...projects]) {
    if ((await asker.untilAnswered(make, until)) === null) throw new Error('the queue could not be freed');
  }
}

/** One of them, at once, with times that were missed. */
async function makeDue({ cluster, random }: FaultContext): Promise<boolean> {
  const [minutes, place] = [random.pick(MISSED), Math.floor(random.between(0, SCHEDULES.length))];
  const work = cluster.db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ id: string }>`
      select id from pgboss.job where name = 'schedules' and state = 'created'
       order by id offset ${place} limit 1 for update skip locked`.execute(trx);
    const id = rows[0]?.id;
    if (id === undefined) return false;
    await sql`
      update schedules set next_run_at = date_trunc('minute', now()) - make_interval(mins => ${minutes})
       where id = ${id} and next_run_at is not null`.execute(trx);
    await sql`update pgboss.job set start_after = now() where name = 'schedules' and id = ${id}`.execute(trx);
    return true;
  });
  return work.catch((error: unknown) => {
    // Postgres is away.
    if (!isTransient(error)) throw error;
    return false;
  });
}
