/** Entries of the ledgers of all attempts in this process: those that come together are one statement and one commit. */
import { sql } from 'kysely';
import type { LogLine } from '../agents/agent.ts';
import { Coalescer, type Outcome } from '../database/coalescer.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import { SupersededError } from '../errors.ts';
import { eventRow } from '../events/append-events.ts';
import type { NewBuildEvent } from '../events/event.ts';
import type { BuildPhase } from '../events/vocabulary.ts';
import { areFailpointsArmed, failpoint } from '../std/failpoint.ts';
import { WITHDRAWN_EVENT } from './build-question.ts';
import type { BuildEnd } from './finish-build.ts';
import { LEASE_SECONDS } from './lease.ts';
import type { LedgerChanges } from './ledger-store.ts';
import { ChunkEncoder } from './log-chunk.ts';

/** Attempts that wait at the same time, in the worst case; each waits with one entry. */
const MAX_WAITING = 100_000;
const LANES = 2;
/** Of a flush with all its logs; one alone may be larger. */
const MAX_FLUSH_BYTES = 4 * 1024 * 1024;

/** An entry whose content the database understands: what an attempt has changed, or its end. */
export interface LedgerRow {
  readonly buildId: string;
  readonly attemptNo: number;
  readonly number: number;
  readonly content: { readonly write: LedgerWrite } | { readonly end: BuildEnd };
}

export interface LedgerWrite extends Pick<LedgerChanges, 'phase' | 'checkpoint' | 'baseSha' | 'pushedSha' | 'usage'> {
  readonly events?: readonly NewBuildEvent[];
  readonly log?: WrittenLog | null;
}

interface WrittenLog {
  readonly lineCount: number;
  /** One after the other. */
  readonly content: readonly Buffer[];
  readonly at: Date;
}

export interface Written {
  /** `KEPT`: it was applied before; `answer` is what was kept of it. */
  readonly state: 'APPLIED' | 'KEPT';
  readonly answer: unknown;
  /** Before the entry. */
  readonly phase: BuildPhase;
  /** What a limit holds back may be able to start now. */
  readonly freed: boolean;
}

/** `null`: somebody else holds the build. */
type Found = (Omit<Written, 'state'> & { readonly state: Written['state'] | 'SUPERSEDED' }) | null;

export class LedgerWriter implements AsyncDisposable {
  readonly #db: Database;
  readonly #coalescer: Coalescer<LedgerRow, Found>;
  readonly #chunks = new ChunkEncoder();
  /** Where the logs of a flush were joined, for the next ones. */
  readonly #rooms: Buffer[] = [];

  constructor(db: Database) {
    this.#db = db;
    this.#coalescer = new Coalescer<LedgerRow, Found>({
      name: 'entries',
      flush: (rows) => this.#flush(rows),
      // Half of what a busy worker has at a time: one half is written while the other is claimed anew.
      maxRows: 64,
      maxWaiting: MAX_WAITING,
      lanes: LANES,
      maxBytes: MAX_FLUSH_BYTES,
      sizeOf: ({ content }) => ('write' in content ? bytesOf(content.write.log) : 0),
    });
  }

  /** The content of an entry's log. */
  encodeLog(lines: readonly LogLine[]): Promise<readonly Buffer[]> {
    return this.#chunks.encode(lines);
  }

  /** Resolves after the commit. Throws SupersededError. */
  async write(row: LedgerRow): Promise<Written> {
    // Whoever waits for a row that is held waits alone.
    const found = (await this.#coalescer.add(row)) ?? (await this.#flushOnce([row]))[0] ?? null;
    return accepted(row, found);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#coalescer[Symbol.asyncDispose]();
  }

  async #flush(rows: readonly LedgerRow[]): Promise<readonly Outcome<Found>[]> {
    const outcomes = new Map<LedgerRow, Outcome<Found>>();
    // An attempt has one entry on its way, so a build is there twice only when two attempts believe that it is theirs.
    for (let left = rows; left.length > 0; left = left.filter((row) => !outcomes.has(row))) {
      const round = [...new Map(left.map((row) => [row.buildId, row])).values()];
      const found = await this.#flushOnce(round);
      for (const [index, row] of round.entries()) outcomes.set(row, { ok: true, value: found[index] ?? null });
    }
    return rows.map((row) => outcomes.get(row) as Outcome<Found>);
  }

  async #flushOnce(rows: readonly LedgerRow[]): Promise<readonly Found[]> {
    const parts = partsOf(rows);
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    const room = parts.length > 1 ? this.#takeRoom(bytes) : null;
    const logs = room ? joinIn(room, parts) : (parts[0] ?? null);
    const found = areFailpointsArmed()
      ? await this.#db.transaction().execute(async (trx) => {
          const inside = await writeEntries(trx, rows, logs);
          await passFailpoints(rows, inside);
          return inside;
        })
      : await writeEntries(this.#db, rows, logs);
    // Not of one that has failed: what it was to send may not be sent yet.
    if (room && room.length <= MAX_FLUSH_BYTES && this.#rooms.length < LANES) this.#rooms.push(room);
    for (const one of found) if (one && one.state !== 'SUPERSEDED') await failpoint('ledger.committed');
    return found;
  }

  #takeRoom(bytes: number): Buffer {
    const kept = this.#rooms.pop();
    return kept && kept.length >= bytes ? kept : Buffer.allocUnsafeSlow(bytes);
  }
}

/** Of an entry that is more than data: the fence, and what of it is data, in the caller's transaction. Throws SupersededError. */
export async function passFence(trx: DatabaseTransaction, row: LedgerRow): Promise<Written> {
  const parts = partsOf([row]);
  const [found = null] = await writeEntries(trx, [row], parts.length > 0 ? Buffer.concat(parts) : null);
  return accepted(row, found);
}

function accepted({ buildId, attemptNo }: LedgerRow, found: Found): Written {
  if (found && found.state !== 'SUPERSEDED') return { ...found, state: found.state };
  throw new SupersededError(`attempt ${attemptNo} of build ${buildId} is over`);
}

function bytesOf(log: WrittenLog | null | undefined): number {
  return log?.content.reduce((sum, { length }) => sum + length, 0) ?? 0;
}

/** Of all their logs. */
function partsOf(rows: readonly LedgerRow[]): readonly Buffer[] {
  return rows.flatMap(({ content }) => ('write' in content ? (content.write.log?.content ?? []) : []));
}

function joinIn(room: Buffer, parts: readonly Buffer[]): Buffer {
  let end = 0;
  for (const part of parts) end += part.copy(room, end);
  return room.subarray(0, end);
}

/** In their order; each of another build. `logs`: of all of them, one after the other. */
async function writeEntries(
  db: Database | DatabaseTransaction,
  rows: readonly LedgerRow[],
  logs: Buffer | null,
): Promise<readonly Found[]> {
  const writes: object[] = [];
  const ends: object[] = [];
  let logAt = 0;
  for (const { buildId, content } of rows) {
    if ('end' in content) ends.push(content.end);
    else {
      const { log, events = [], baseSha, ...write } = content.write;
      writes.push({
        ...write,
        buildId,
        ...(baseSha === undefined ? {} : { setsBase: true, baseSha }),
        ...(events.length === 0 ? {} : { events: events.map(eventRow) }),
        ...(log ? { lineCount: log.lineCount, logAt, logBytes: bytesOf(log), printedAt: log.at } : {}),
      });
      logAt += bytesOf(log);
    }
  }
  const result = await sql<Exclude<Found, null> & { build_id: string }>`${sql.raw(PREPARED)}
    select * from write_ledger(${rows.map((row) => row.buildId)}::uuid[], ${rows.map((row) => row.attemptNo)}::integer[],
      ${rows.map((row) => row.number)}::integer[], ${JSON.stringify(writes)}::jsonb, ${JSON.stringify(ends)}::jsonb,
      ${logs}::bytea, ${WITHDRAWN_EVENT}::jsonb, ${LEASE_SECONDS})`.execute(db);
  const found = new Map(result.rows.map((row) => [row.build_id, row]));
  return rows.map(({ buildId }) => found.get(buildId) ?? null);
}

/** As if each of them had a transaction of its own. */
async function passFailpoints(rows: readonly LedgerRow[], found: readonly Found[]): Promise<void> {
  for (const [index, { content }] of rows.entries()) {
    if (found[index]?.state !== 'APPLIED') continue;
    if ('end' in content) await failpoint('finish.written');
    await failpoint('ledger.written');
  }
}
