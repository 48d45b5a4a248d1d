/** The real thing: the SQL of accept, claim, ledger, rescue, cancel, retry and callbacks, with workers made of steps. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { ClaimedBuild } from '../../../src/builds/build.ts';
import { cancelBuild } from '../../../src/builds/cancel-build.ts';
import { type AttemptKey, type Claimer, claimBuilds, heartbeat } from '../../../src/builds/claim-builds.ts';
import { openPostgresLedger } from '../../../src/builds/postgres-ledger.ts';
import { inheritBuilds, rescueBuilds } from '../../../src/builds/rescue-builds.ts';
import { retryBuild } from '../../../src/builds/retry-build.ts';
import { startBuild } from '../../../src/builds/start-build.ts';
import { claimDeliveries } from '../../../src/callbacks/claim-deliveries.ts';
import { recordAttempt } from '../../../src/callbacks/record-attempt.ts';
import { BuildStateError } from '../../../src/errors.ts';
import type { Orchestrator } from '../../../src/orchestrator.ts';
import { createProject } from '../../../src/projects/create-project.ts';
import { registerWorker } from '../../../src/workers/registry.ts';
import { Attempt } from './attempt.ts';
import type { ModelBuild } from './reference-model.ts';
import { Remote } from './remote.ts';

const TABLES = `build_audit, build_attempts, build_events, build_logs, deliveries, delivery_attempts, artifacts,
  queue_items, queue_removals, queue_owners, queue_lanes, queue_turns, queue_keys`;
const ANSWERED = { statusCode: 200, error: null, response: 'ok', retryAfterMs: null, durationMs: 1 };

export class World {
  readonly orchestrator: Orchestrator;
  readonly remote = new Remote();
  /** Worker's index -> its id; a worker that was restarted has another one. */
  readonly workers: string[] = [];
  /** Attempts that somebody still works at, current or not. */
  attempts: Attempt[] = [];
  /** Build's id -> webhook ids that its receiver has seen. */
  readonly received = new Map<string, Set<string>>();
  /** In the order in which they were accepted. */
  readonly ids: string[] = [];
  #projectId = '';

  constructor(orchestrator: Orchestrator) {
    this.orchestrator = orchestrator;
  }

  async open(workers: number): Promise<void> {
    await sql.raw(`truncate ${TABLES} cascade`).execute(this.orchestrator.db);
    await sql`update queue_state set running = 0`.execute(this.orchestrator.db);
    this.#projectId = (await createProject(this.orchestrator, { name: `Model ${v7()}` }, 'test')).id;
    for (let index = 0; index < workers; index += 1) await this.register(index);
  }

  async register(index: number): Promise<void> {
    const id = v7();
    const worker = { id, name: `worker ${index}`, place: id, version: '1', capacity: 9, agents: [] };
    await registerWorker(this.orchestrator.db, worker);
    this.workers[index] = id;
  }

  async start(idempotencyKey: string | null): Promise<number> {
    const spec = { prompt: 'x', provider: 'scripted', branch: 'main', callbackUrl: 'http://127.0.0.1:1/' };
    const { build } = await startBuild(this.orchestrator, { projectId: this.#projectId, spec, idempotencyKey }, 'test');
    return this.#indexOf(build.id);
  }

  async retry(index: number): Promise<number | 'refused'> {
    try {
      return this.#indexOf((await retryBuild(this.orchestrator, { id: this.#id(index) }, 'test')).build.id);
    } catch (error) {
      if (error instanceof BuildStateError) return 'refused';
      throw error;
    }
  }

  /** Writes a build with a key that is taken as code would that forgot to look; the database's own words. */
  async forge(key: string): Promise<string> {
    const copied = 'project_id, status, phase, source, spec, input_hash, requested_by, idempotency_key';
    const insert = sql`insert into build_audit (id, number, ${sql.raw(copied)})
      select ${v7()}, 1000000 + number, project_id, 'PENDING', 'QUEUED', source, spec, input_hash, requested_by, idempotency_key
        from build_audit where idempotency_key = ${key}`;
    return insert.execute(this.orchestrator.db).then(
      () => 'accepted',
      (error: { code?: string }) => error.code ?? 'unknown',
    );
  }

  async cancel(index: number): Promise<'refused' | 'done'> {
    try {
      await cancelBuild(this.orchestrator, { id: this.#id(index) }, 'test');
      return 'done';
    } catch (error) {
      if (error instanceof BuildStateError) return 'refused';
      throw error;
    }
  }

  async claim(worker: number): Promise<Attempt | null> {
    const [claimed] = await claimBuilds(this.orchestrator, this.#claimer(worker), 1);
    return claimed ? this.#begin(claimed, worker) : null;
  }

  /** Renews what the worker works at; the builds that are still its own. */
  async beat(worker: number): Promise<number[]> {
    const attempts: AttemptKey[] = this.attempts
      .filter((attempt) => attempt.worker === worker)
      .map(({ build }) => ({ buildId: build.id, attemptNo: build.attemptNo }));
    const { owned } = await heartbeat(this.orchestrator, { workerId: this.#worker(worker), attempts });
    return [...owned.keys()].map((id) => this.#indexOf(id)).sort((a, b) => a - b);
  }

  /** Time passes: every lease is that much shorter. */
  async tick(seconds: number): Promise<void> {
    const { db } = this.orchestrator;
    await sql`update build_audit set lease_until = lease_until - make_interval(secs => ${seconds})`.execute(db);
    await sql`update deliveries set lease_until = lease_until - make_interval(secs => ${seconds * 4})`.execute(db);
  }

  async rescue(): Promise<void> {
    await rescueBuilds(this.orchestrator, 'expired');
  }

  /**
   * The worker's process is gone with all it knew, or stands still where it was; the next one says so, and begins with
   * what it inherits: these builds.
   */
  async restart(worker: number, { places, lives }: { places: number; lives: boolean }): Promise<number[]> {
    const dead = this.#worker(worker);
    if (!lives) this.attempts = this.attempts.filter((attempt) => attempt.worker !== worker);
    await this.register(worker);
    const builds = await inheritBuilds(this.orchestrator, [dead], { ...this.#claimer(worker), places });
    return builds.map((build) => this.#begin(build, worker).index);
  }

  /** Sends what is due. `die`: the process is gone after it has claimed, or after it has sent. */
  async deliver(die: 'never' | 'claimed' | 'sent'): Promise<number> {
    const due = await claimDeliveries(this.orchestrator.db, { places: 1_000, perHost: 100, sending: [] });
    for (const delivery of due) {
      if (die === 'claimed' || delivery.buildId === null) continue;
      const seen = this.received.get(delivery.buildId) ?? new Set();
      this.received.set(delivery.buildId, seen.add(delivery.id));
      if (die === 'never') await recordAttempt(this.orchestrator.db, { delivery, answer: ANSWERED });
    }
    return due.length;
  }

  /** Every build as its row has it. */
  async read(): Promise<Omit<ModelBuild, 'lease'>[]> {
    const rows = await this.orchestrator.db.selectFrom('build_audit').selectAll().orderBy('number').execute();
    return rows.map((row) => ({
      status: row.status,
      attempt: row.attempt_no,
      lost: row.lost_attempts,
      worker: row.status === 'RUNNING' ? this.workers.indexOf(row.worker_id ?? '') : null,
      cancel: row.cancel_requested_at !== null,
      intent: row.push_intent_sha !== null,
      pushed: row.pushed_sha !== null,
    }));
  }

  #begin(build: ClaimedBuild, worker: number): Attempt {
    const ledger = openPostgresLedger(this.orchestrator, build);
    const attempt = new Attempt(build, { index: this.#indexOf(build.id), worker, ledger });
    this.attempts.push(attempt);
    return attempt;
  }

  #claimer(worker: number): Claimer {
    const workerId = this.#worker(worker);
    return { workerId, workerName: `worker ${worker}`, labels: ['provider:scripted'], projectIds: null };
  }

  #worker(index: number): string {
    const id = this.workers[index];
    if (id === undefined) throw new Error(`there is no worker ${index}`);
    return id;
  }

  #id(index: number): string {
    const id = this.ids[index];
    if (id === undefined) throw new Error(`there is no build ${index}`);
    return id;
  }

  #indexOf(id: string): number {
    const known = this.ids.indexOf(id);
    return known >= 0 ? known : this.ids.push(id) - 1;
  }
}
