/**
 * What administrators tell workers. It is written down, and told by their next heartbeat at the latest; saying it again
 * changes nothing and is not recorded. Each throws NotFoundError.
 */
import { type RawBuilder, sql } from 'kysely';
import type { LedgerDeps } from '../builds/postgres-ledger.ts';
import type { ReportDeps } from '../builds/report-end.ts';
import { rescueBuilds } from '../builds/rescue-builds.ts';
import { audit } from '../database/audit.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { InvalidInputError, NotFoundError } from '../errors.ts';
import { ordersTopic, QUEUE_TOPIC, WORKERS_TOPIC } from '../events/topics.ts';
import { toPublicId } from '../std/public-id.ts';
import { findWorkers, type WorkerRecord } from './registry.ts';

export const MAX_GRACE_SECONDS = 86_400;
/** Builds whose row somebody holds are left to their lease after this many looks. */
const MAX_LOOKS = 40;
const LOOK_AGAIN_MS = 50;

export interface DrainOrder {
  /** How long what it runs may go on. */
  readonly graceSeconds: number;
  /** What becomes of builds that run on then: see DrainMode. */
  readonly mode: 'PUT_BACK' | 'LEAVE';
}

type AdministerDeps = Pick<LedgerDeps, 'db' | 'hub'>;

interface Order {
  /** UUID. */
  readonly id: string;
  /** For the audit log. */
  readonly action: string;
  readonly actor: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  /** Does it, if it is not done yet; true when it was not. */
  readonly give: (trx: DatabaseTransaction) => Promise<boolean>;
}

/** The worker takes nothing new, and neither does what comes after it with its name, until `uncordonWorker`. */
export function cordonWorker(deps: AdministerDeps, id: string, actor: string): Promise<WorkerRecord> {
  const give = (trx: DatabaseTransaction) =>
    change(trx, id, sql`cordoned_at = now(), cordoned_by = ${actor}`, sql`cordoned_at is null`);
  return order(deps, { id, actor, action: 'cordonWorker', give });
}

export async function uncordonWorker(deps: AdministerDeps, id: string, actor: string): Promise<WorkerRecord> {
  const give = (trx: DatabaseTransaction) =>
    change(trx, id, sql`cordoned_at = null, cordoned_by = null`, sql`cordoned_at is not null`);
  const worker = await order(deps, { id, actor, action: 'uncordonWorker', give });
  // It claims, and does not only hear of it.
  deps.hub.announce(QUEUE_TOPIC);
  return worker;
}

/**
 * The worker takes nothing new, ends what it has within the time, and then its process ends. Of two such orders the one
 * counts that ends sooner. One that has ended is left as it is. Throws InvalidInputError, too.
 */
export async function drainWorker(
  deps: AdministerDeps,
  { id, graceSeconds, mode }: DrainOrder & { readonly id: string },
  actor: string,
): Promise<WorkerRecord> {
  if (!Number.isInteger(graceSeconds) || graceSeconds < 0 || graceSeconds > MAX_GRACE_SECONDS) {
    const message = `must be 0 to ${MAX_GRACE_SECONDS} seconds`;
    throw new InvalidInputError([{ path: ['input', 'graceSeconds'], message }]);
  }
  const until = sql`now() + make_interval(secs => ${graceSeconds})`;
  const give = (trx: DatabaseTransaction) =>
    change(
      trx,
      id,
      sql`draining_at = coalesce(draining_at, now()), drain_until = ${until}, drain_mode = ${mode}, drained_by = ${actor}`,
      sql`stopped_at is null and evicted_at is null and (drain_until is null or drain_until > ${until})`,
    );
  return order(deps, { id, actor, action: 'drainWorker', detail: { graceSeconds, mode }, give });
}

/**
 * What the worker runs is put back at once, as if it had given it back, and none of its leases is renewed from now on. Its
 * process ends when it hears of that; should it never, nothing that it does reaches a row or a remote.
 */
export async function evictWorker(deps: LedgerDeps & ReportDeps, id: string, actor: string): Promise<WorkerRecord> {
  const give = (trx: DatabaseTransaction) =>
    change(
      trx,
      id,
      sql`evicted_at = now(), evicted_by = ${actor}, draining_at = coalesce(draining_at, now())`,
      sql`evicted_at is null`,
    );
  await order(deps, { id, actor, action: 'evictWorker', give });
  await putBackAll(deps, id);
  deps.hub.announce(WORKERS_TOPIC, QUEUE_TOPIC);
  return requireWorker(deps, id);
}

async function putBackAll(deps: LedgerDeps & ReportDeps, id: string): Promise<void> {
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    const moved = await rescueBuilds(deps, { workers: [id] });
    const running = deps.db.selectFrom('build_audit').select('id').where('worker_id', '=', id);
    if (!(await running.where('status', '=', 'RUNNING').limit(1).executeTakeFirst())) return;
    if (moved === 0) await new Promise((done) => setTimeout(done, LOOK_AGAIN_MS));
  }
}

async function order(deps: AdministerDeps, { id, action, actor, detail, give }: Order): Promise<WorkerRecord> {
  const isNew = await inTransaction(deps.db, async (trx) => {
    // Claims of this worker hold its row until they are over: none comes through after the order.
    await trx.selectFrom('workers').select('id').where('id', '=', id).forUpdate().execute();
    const given = await give(trx);
    const subject = { subjectType: 'worker', subjectId: id, projectId: null } as const;
    if (given) await audit(trx, { actor, action, ...subject, ...(detail ? { detail } : {}) });
    return given;
  });
  if (isNew) deps.hub.announce(ordersTopic(id), WORKERS_TOPIC);
  return requireWorker(deps, id);
}

async function change(
  trx: DatabaseTransaction,
  id: string,
  set: RawBuilder<unknown>,
  unless: RawBuilder<unknown>,
): Promise<boolean> {
  const { numAffectedRows } = await sql`update workers set ${set} where id = ${id} and ${unless}`.execute(trx);
  return (numAffectedRows ?? 0n) > 0n;
}

async function requireWorker({ db }: Pick<LedgerDeps, 'db'>, id: string): Promise<WorkerRecord> {
  const [worker] = await findWorkers(db, { ids: [id] });
  if (!worker) throw new NotFoundError('worker', toPublicId('worker', id));
  return worker;
}
