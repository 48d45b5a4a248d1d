/** The queue's SQL as the model's commands see it: items and projects by their indexes. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { Database } from '../../../src/database/database.ts';
import { addProject } from '../../support/queue.ts';
import { type Asks, type Gate, type ModelItem, PROJECTS } from './reference-queue.ts';

const VARIABLE = 'KEY';

export class QueueWorld {
  readonly #db: Database;
  readonly #projects: readonly string[];
  readonly #gates: ReadonlyMap<Gate, string>;
  #items: string[] = [];

  private constructor(db: Database, projects: readonly string[], gates: ReadonlyMap<Gate, string>) {
    this.#db = db;
    this.#projects = projects;
    this.#gates = gates;
  }

  static async open(db: Database): Promise<QueueWorld> {
    const projects = [];
    const gates = new Map<Gate, string>([['shared', v7()]]);
    for (let index = 0; index < PROJECTS; index += 1) {
      projects.push(await addProject(db));
      gates.set(index, v7());
    }
    return new QueueWorld(db, projects, gates);
  }

  /** An empty queue without limits, and the credential that is everybody's. */
  async reset(): Promise<void> {
    this.#items = [];
    await sql
      .raw(
        `delete from queue_items; delete from queue_removals; delete from queue_owners; delete from queue_turns;
         delete from queue_lanes; delete from queue_keys; delete from queue_gates; delete from queue_pools;
         delete from queue_shapes; delete from credentials;
         update queue_state set running = 0, paused_at = null, max_running = null`,
      )
      .execute(this.#db);
    await this.#addCredential('shared');
  }

  async add(item: ModelItem): Promise<boolean> {
    this.#items[item.index] ??= v7();
    return this.#ask(sql`queue_add(
      ${this.#id(item)}, ${item.kind}, ${this.#projects[item.project]}, ${[...item.needs]}::text[], ${item.key},
      ${item.isKeyed ? VARIABLE : ''}, ${item.priority}, now() + make_interval(secs => ${item.addedAt}),
      now() + make_interval(hours => ${item.state === 'later' ? 1 : 0}))`);
  }

  /** Indexes in the order in which they were given out. */
  claim(asks: Asks): Promise<number[]> {
    return this.#claim(this.#db, asks);
  }

  /** What as many claims of one item would give out; none is made. */
  async foretell(asks: Asks): Promise<number[]> {
    const trx = await this.#db.startTransaction().execute();
    try {
      const taken: number[] = [];
      for (let left = asks.max; left > 0; left -= 1) {
        const next = await this.#claim(trx, { ...asks, max: 1 });
        if (next.length === 0) break;
        taken.push(...next);
      }
      return taken;
    } finally {
      await trx.rollback().execute();
    }
  }

  async #claim(db: Database, { kinds, labels, max, projects }: Asks): Promise<number[]> {
    const ids = projects?.map((index) => this.#projects[index]) ?? null;
    const { rows } = await sql<{ id: string }>`
      select id from queue_claim(${v7()}, ${[...kinds]}::text[], ${[...labels]}::text[], ${max}, ${ids}::uuid[])`.execute(
      db,
    );
    return rows.map(({ id }) => this.#items.indexOf(id));
  }

  remove = (item: ModelItem) => this.#ask(sql`queue_remove(${this.#id(item)})`);

  putBack = (item: ModelItem, hours: number) =>
    this.#ask(sql`queue_put_back(${this.#id(item)}, clock_timestamp() + make_interval(hours => ${hours}))`);

  setPriority = (item: ModelItem, priority: number) =>
    this.#ask(sql`queue_set_priority(${this.#id(item)}, ${priority})`);

  /** The time has come for which it waits. */
  async comeDue(item: ModelItem): Promise<void> {
    await sql`update queue_items set ready_at = now() where id = ${this.#id(item)}`.execute(this.#db);
  }

  limit = (max: number | null) => this.#ask(sql`queue_limit(${max})`);

  pause = (project: number | null) =>
    this.#ask(sql`queue_pause(${project === null ? null : this.#projects[project]}, 'test')`);

  resume = (project: number | null) =>
    this.#ask(sql`queue_resume(${project === null ? null : this.#projects[project]})`);

  configure = (project: number, weight: number, max: number | null, keyLimit: number) =>
    this.#ask(sql`queue_configure(${this.#projects[project]}, ${weight}, ${max}, ${keyLimit})`);

  limitKey = (project: number, key: string, max: number | null) =>
    this.#ask(sql`queue_limit_key(${this.#projects[project]}, ${key}, ${max})`);

  limitGate = (gate: Gate, max: number | null) => this.#ask(sql`queue_limit_gate(${this.#gates.get(gate)}, ${max})`);

  /** Gives a project a credential of its own, or takes it away. */
  async setCredential(project: number, isThere: boolean): Promise<void> {
    if (isThere) await this.#addCredential(project);
    else await sql`delete from credentials where id = ${this.#gates.get(project)}`.execute(this.#db);
    await this.#ask(sql`queue_regate(${VARIABLE})`);
  }

  tidy = () => this.#ask(sql`queue_tidy()`);

  async check(): Promise<string[]> {
    const { rows } = await sql<{ queue_check: string }>`select queue_check()`.execute(this.#db);
    return rows.map((row) => row.queue_check);
  }

  async #addCredential(gate: Gate): Promise<void> {
    await sql`insert into credentials (id, project_id, kind, name, target, sealed, key_id)
      values (${this.#gates.get(gate)}, ${gate === 'shared' ? null : this.#projects[gate]}, 'MODEL_API_KEY',
              ${`key-${gate}`}, ${VARIABLE}, 'x', 'k')`.execute(this.#db);
  }

  async #ask(call: ReturnType<typeof sql>): Promise<boolean> {
    const { rows } = await sql<{ answer: boolean }>`select ${call} as answer`.execute(this.#db);
    return rows[0]?.answer ?? false;
  }

  #id(item: ModelItem): string {
    return this.#items[item.index] ?? '';
  }
}
