/**
 * Tells this process and the others that there is something new: one LISTEN connection per process, one NOTIFY per
 * flush, after the commit. A hint may be lost (a crash between commit and NOTIFY, a reconnect); so whoever waits also
 * looks by itself every few seconds, and after every reconnect all are woken.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { sql } from 'kysely';
import pg from 'pg';
import { type BreakableClient, breakableClient } from '../database/breakable-client.ts';
import { connectionSettings, type Database } from '../database/database.ts';
import { CONTROL_LIMITS, setLimits } from '../database/session-settings.ts';
import { failpoint } from '../std/failpoint.ts';
import type { Logger } from '../telemetry/logger.ts';
import { CARRIED, EventCarrier, readCarried } from './carried-events.ts';
import type { BuildEvent } from './event.ts';
import { PROJECTS_TOPIC, type Topic } from './topics.ts';

const CHANNEL = 'slipway';
/** Postgres refuses a payload of 8,000 bytes. */
const MAX_PAYLOAD_BYTES = 7_900;
/** More topics than this in one flush: everybody is woken instead. */
const MAX_PENDING_TOPICS = 10_000;
/** From the flush of several announcements to the next: each costs every listener of every process a notification. */
const PAUSE_MS = 2;
/** What could not be told is told again after this, then less often, as long as the connection is there. */
const TELL_AGAIN_MS = 250;
const MAX_TELL_AGAIN_MS = 2_000;
const WAKE_ALL = '*';
const WATCHDOG_MS = 2_000;
const ANSWER_WITHIN_MS = 2_000;
/** While no hint can arrive, everybody looks this often. */
const LOOK_WHILE_DEAF_MS = 2_000;
/** A notification of our own, from the moment that it was taken. */
const HEAR_WITHIN_MS = 2_000;
const MAX_RECONNECT_DELAY_MS = 2_000;

/** LISTEN is accepted, and nothing is heard: as behind a pooler in transaction mode. */
export class DeafError extends Error {
  override readonly name = 'DeafError';
}

export interface EventHubOptions {
  /** Of Postgres itself, not of a pooler in transaction mode. */
  readonly url: string;
  /** The connections that everybody else uses: what is announced over them must be heard. */
  readonly db: Database;
  readonly logger: Logger;
}

/** `carried`: the newest events of the build whose topic it is, where the hint had them with it; null: read what there is. */
export type Waker = (carried: readonly BuildEvent[] | null) => void;

export class EventHub implements AsyncDisposable {
  readonly #options: EventHubOptions;
  readonly #self = randomUUID().slice(0, 8);
  readonly #wakers = new Map<Topic, Set<Waker>>();
  readonly #carrier = new EventCarrier();
  readonly #pending = new Set<Topic | typeof WAKE_ALL>();
  readonly #expected = new Map<string, () => void>();
  readonly #closing = new AbortController();
  #client: pg.Client | null = null;
  #flushing: Promise<void> | null = null;
  /** Flushes that have failed in a row. */
  #failures = 0;
  #ends = false;
  /** Announcements since the last flush. */
  #announced = 0;
  #pausesUntil = 0;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: EventHubOptions) {
    this.#options = options;
  }

  /**
   * Connects, and hears itself once; from then on reconnects by itself. Rejects when the first connection fails, with
   * DeafError when it is deaf.
   */
  async open(): Promise<void> {
    const connection = await this.#connect();
    this.#loop = this.#keepConnected(connection);
  }

  /** Is the LISTEN connection up? Hints from other processes are late while it is not. */
  get listening(): boolean {
    return this.#client !== null;
  }

  /** How many waiters there are; for tests and metrics. */
  get waiters(): number {
    let count = 0;
    for (const wakers of this.#wakers.values()) count += wakers.size;
    return count;
  }

  /** Calls `wake` whenever the topic may have something new, until the returned function is called. */
  on(topic: Topic, wake: Waker): () => void {
    const wakers = this.#wakers.get(topic) ?? new Set();
    this.#wakers.set(topic, wakers);
    wakers.add(wake);
    return () => {
      wakers.delete(wake);
      if (wakers.size === 0 && this.#wakers.get(topic) === wakers) this.#wakers.delete(topic);
    };
  }

  /** Call it after the commit. Wakes this process at once and the others by NOTIFY; never throws, never waits. */
  announce(...topics: readonly Topic[]): void {
    for (const topic of topics) {
      this.#pending.add(topic);
      this.#wake(topic);
    }
    this.#announced += 1;
    this.#startFlush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#ends = true;
    await this.#flushing;
    this.#closing.abort();
    await this.#loop;
  }

  #wake(topic: Topic, carried: readonly BuildEvent[] | null = null): void {
    const wakers = this.#wakers.get(topic);
    if (wakers) for (const wake of [...wakers]) wake(carried);
    if (topic.startsWith('project:')) this.#wake(PROJECTS_TOPIC);
  }

  #wakeAll(): void {
    for (const topic of [...this.#wakers.keys()]) this.#wake(topic);
  }

  /** While a flush is on its way the topics pile up and leave together with the next one. */
  #startFlush(): void {
    if (this.#flushing === null && this.#pending.size > 0 && this.#client) this.#flushing = this.#flush();
  }

  async #flush(): Promise<void> {
    while (this.#pending.size > 0 && this.#client) {
      const early = this.#pausesUntil - performance.now();
      // One turn of the event loop gathers what is announced together; what the announcers write next leaves before the hint.
      await (early > 0 ? delay(early) : nextTurn().then(nextTurn));
      if (!this.#client) break;
      // What comes one by one is told at once.
      this.#pausesUntil = this.#announced > 1 ? performance.now() + PAUSE_MS : 0;
      this.#announced = 0;
      const topics = this.#pending.size > MAX_PENDING_TOPICS ? [WAKE_ALL as typeof WAKE_ALL] : [...this.#pending];
      this.#pending.clear();
      try {
        await failpoint('notify.begin');
        await this.#notify(this.#client, topics);
        await failpoint('notify.sent');
        this.#failures = 0;
      } catch {
        // They leave with the next connection, or a little later over this one, which may only have been slow; a topic that
        // was announced twice wakes twice.
        for (const topic of topics) this.#pending.add(topic);
        const pause = Math.min(MAX_TELL_AGAIN_MS, TELL_AGAIN_MS * 2 ** Math.min(this.#failures, 4));
        this.#pausesUntil = performance.now() + pause;
        this.#failures += 1;
        if (this.#ends) break;
      }
    }
    // Not a turn later: what is announced from now on needs a flush of its own.
    this.#flushing = null;
  }

  async #notify(client: pg.Client, topics: readonly string[]): Promise<void> {
    const hint = { channel: CHANNEL, sender: this.#self, topics, maxBytes: MAX_PAYLOAD_BYTES };
    // What keeps events from being read keeps no hint from being heard.
    if (this.#failures === 0 && (await this.#carrier.notify(client, hint))) return;
    // One message, and nothing to plan.
    await client.query(payloads(this.#self, topics).map(notifyStatement).join(';'));
  }

  #receive(payload: string): void {
    if (payload.startsWith(this.#self)) {
      if (this.#expected.size > 0) this.#expected.get(payload.slice(this.#self.length + 1))?.();
      return;
    }
    const [, ...lines] = payload.split('\n');
    for (const [index, line] of lines.entries()) {
      if (line.startsWith(CARRIED)) continue;
      const next = lines[index + 1] ?? '';
      if (line === WAKE_ALL) this.#wakeAll();
      else this.#wake(line as Topic, next.startsWith(CARRIED) ? readCarried(line, next.slice(1)) : null);
    }
  }

  async #connect(): Promise<BreakableClient> {
    const { signal } = this.#closing;
    const settings = connectionSettings(this.#options.url, 'slipway listen');
    const connection = breakableClient({ ...settings, query_timeout: ANSWER_WITHIN_MS });
    const { client, breakOff } = connection;
    client.on('notification', (message) => this.#receive(message.payload ?? ''));
    signal.addEventListener('abort', breakOff, { once: true });
    try {
      await client.connect();
      // All commits that notify wait for each other, and a hint need not be on the disk.
      const limits = `${setLimits(CONTROL_LIMITS, 'session')}; set synchronous_commit = off; set plan_cache_mode = force_generic_plan`;
      await client.query(`${limits}; listen ${CHANNEL}`);
      await this.#hearItself();
    } catch (error) {
      breakOff();
      throw error;
    } finally {
      signal.removeEventListener('abort', breakOff);
    }
    this.#client = client;
    return connection;
  }

  /** Over another connection, because a pooler may hand out one session to both. */
  async #hearItself(): Promise<void> {
    const word = randomUUID();
    const heard = new Promise<true>((resolve) => this.#expected.set(word, () => resolve(true)));
    const timer = new AbortController();
    const signal = AbortSignal.any([timer.signal, this.#closing.signal]);
    try {
      await sql`select pg_notify(${CHANNEL}, ${`${this.#self}\n${word}`})`.execute(this.#options.db);
      if (await Promise.race([heard, delay(HEAR_WITHIN_MS, false, { signal }).catch(() => false)])) return;
      throw new DeafError(`A notification of our own was not heard within ${HEAR_WITHIN_MS} ms.`);
    } finally {
      this.#expected.delete(word);
      timer.abort();
    }
  }

  /** Watches the connection, and replaces it when it ends or no longer answers. */
  async #keepConnected(first: BreakableClient): Promise<void> {
    const { signal } = this.#closing;
    let connection: BreakableClient | null = first;
    let failures = 0;
    let looking: NodeJS.Timeout | undefined;
    while (!signal.aborted) {
      if (connection) {
        await watch(connection.client, signal);
        this.#client = null;
        connection.breakOff();
        connection = null;
        if (!signal.aborted) this.#options.logger.warn('the LISTEN connection was lost');
        this.#wakeAll();
        looking = setInterval(() => this.#wakeAll(), LOOK_WHILE_DEAF_MS);
        continue;
      }
      try {
        connection = await this.#connect();
        failures = 0;
        clearInterval(looking);
        this.#wakeAll();
        this.#startFlush();
      } catch (error) {
        failures += 1;
        if (failures === 1)
          this.#options.logger.warn({ error: String(error) }, 'LISTEN does not work; it is tried again');
        const pause = Math.min(MAX_RECONNECT_DELAY_MS, 50 * 2 ** Math.min(failures, 6));
        await delay(pause, undefined, { signal }).catch(() => {});
      }
    }
    clearInterval(looking);
  }
}

/** Resolves when the connection has ended, or does not answer a query in time. */
async function watch(client: pg.Client, signal: AbortSignal): Promise<void> {
  const ended = new Promise<'ended'>((done) => client.once('end', () => done('ended')));
  while (!signal.aborted) {
    const tick = await Promise.race([
      ended,
      delay(WATCHDOG_MS, 'tick' as const, { signal }).catch(() => 'ended' as const),
    ]);
    if (tick === 'ended') return;
    try {
      await client.query('select 1');
    } catch {
      return;
    }
  }
}

function notifyStatement(payload: string): string {
  return `notify ${CHANNEL}, ${pg.escapeLiteral(payload)}`;
}

/** Joins topics into payloads that Postgres accepts; each begins with the sender, who was woken already. */
function payloads(sender: string, topics: Iterable<string>): string[] {
  const result: string[] = [];
  let current = sender;
  for (const topic of topics) {
    if (current.length + 1 + topic.length > MAX_PAYLOAD_BYTES) {
      result.push(current);
      current = sender;
    }
    current += `\n${topic}`;
  }
  result.push(current);
  return result;
}
