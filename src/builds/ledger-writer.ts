/** Entries of the ledgers of all attempts in this process: those that come together are one statement and one commit. */
import { CompiledQuery } from 'kysely';
import type { LogLine } from '../agents/agent.ts';
import { integerArray, uuidArray } from '../database/binary-arrays.ts';
import { Coalescer, type Outcome } from '../database/coalescer.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import { SupersededError } from '../errors.ts';
import { eventRow } from '../events/append-events.ts';
import type { NewBuildEvent } from '../events/event.ts';
import type { BuildPhase } from '../events/vocabulary.ts';
import { areFailpointsArmed, failpoint } from '../std/failpoint.ts';
import { WITHDRAWN_EVENT } from './build-question.ts';
import { type ClaimDeps, type ClaimedRow, claimTerms, tellClaim } from './claim-builds.ts';
import type { BuildEnd } from './finish-build.ts';
import { JoinedLogs } from './joined-logs.ts';
import { LEASE_SECONDS } from './lease.ts';
import type { LedgerChanges } from './ledger-store.ts';
import { ChunkEncoder } from './log-chunk.ts';
import { type KeptPlaces, NOTHING, type PlaceOffers } from './place-offers.ts';

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

/** What came of some entries; `given`: of the claim in the same commit, null where none was made. */
interface Flushed {
  readonly found: readonly Found[];
  readonly given: readonly ClaimedRow[] | null;
}

export interface LedgerWriterDeps extends ClaimDeps {
  /** What leaves its place to another build: that is claimed with the commit of its end. */
  readonly places: Pick<PlaceOffers, 'keep'>;
}

export class LedgerWriter implements AsyncDisposable {
  readonly #deps: LedgerWriterDeps;
  readonly #coalescer: Coalescer<LedgerRow, Found>;
  readonly #chunks = new ChunkEncoder();
  readonly #logs = new JoinedLogs({ lanes: LANES, maxBytes: MAX_FLUSH_BYTES });

  constructor(deps: LedgerWriterDeps) {
    this.#deps = deps;
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
    const found = (await this.#coalescer.add(row)) ?? (await this.#flushOnce([row], { waits: true }))[0] ?? null;
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
      const found = await this.#flushOnce(round, { waits: false });
      for (const [index, row] of round.entries()) outcomes.set(row, { ok: true, value: found[index] ?? null });
    }
    return rows.map((row) => outcomes.get(row) as Outcome<Found>);
  }

  /** `waits`: for somebody who holds the only build; meanwhile no places are kept. */
  async #flushOnce(rows: readonly LedgerRow[], { waits }: { readonly waits: boolean }): Promise<readonly Found[]> {
    // Any other end may have left a full disk: there, the next one comes when it is cleaned up.
    const ending = waits ? [] : rows.filter(({ content }) => 'end' in content && content.end.status === 'COMPLETED');
    const places = ending.length > 0 ? await this.#deps.places.keep(ending) : null;
    let filled = NOTHING;
    try {
      const { found, given } = await this.#write(rows, places);
      if (places) {
        const applied = new Set(rows.flatMap(({ buildId }, at) => (found[at]?.state === 'APPLIED' ? buildId : [])));
        const ended = places.ending.filter(({ buildId }) => applied.has(buildId));
        filled = { ...NOTHING, ended };
        const claimed = given && (await tellClaim(this.#deps, places.claimer, given));
        if (claimed) filled = { claimed, ended, more: claimed.length >= places.count + ended.length };
      }
      for (const one of found) if (one && one.state !== 'SUPERSEDED') await failpoint('ledger.committed');
      return found;
    } finally {
      places?.release(filled);
    }
  }

  async #write(rows: readonly LedgerRow[], places: KeptPlaces | null): Promise<Flushed> {
    const { db } = this.#deps;
    const { logs, sent } = this.#logs.join(partsOf(rows));
    const flushed = areFailpointsArmed()
      ? await db.transaction().execute(async (trx) => {
          const inside = await writeEntries(trx, rows, { logs, places });
          await passFailpoints(rows, inside.found);
          return inside;
        })
      : await writeEntries(db, rows, { logs, places });
    sent();
    return flushed;
  }
}

/** Of an entry that is more than data: the fence, and what of it is data, in the caller's transaction. Throws SupersededError. */
export async function passFence(trx: DatabaseTransaction, row: LedgerRow): Promise<Written> {
  const parts = partsOf([row]);
  const logs = parts.length > 0 ? Buffer.concat(parts) : null;
  const {
    found: [found = null],
  } = await writeEntries(trx, [row], { logs, places: null });
  return accepted(row, found);
}

function accepted({ buildId, attemptNo }: LedgerRow, found: Found): Written {
  if (found && found.state !== 'SUPERSEDED') return { ...found, state: found.state };
  throw new SupersededError(`attempt ${attemptNo} of build ${buildId} is over`);
}

interface EntryRow extends Omit<Exclude<Found, null>, 'phase'> {
  readonly build_id: string;
  readonly entry_phase: BuildPhase;
}

/** Either what came of an entry, or a build that is claimed; or neither, where nobody has looked for any. */
type EntryOrClaimed = EntryRow | (ClaimedRow & { readonly build_id: null; readonly state: 'NOT_CLAIMED' | null });

const STATEMENT = `${PREPARED} select build_id, state, answer, phase as entry_phase, freed
  from write_ledger($1, $2, $3, $4, $5, $6, $7, $8)`;
const AND_CLAIM = `${PREPARED} select build_id, state, answer, entry_phase, freed, (claimed).*
  from write_ledger_and_claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`;

function bytesOf(log: WrittenLog | null | undefined): number {
  return log?.content.reduce((sum, { length }) => sum + length, 0) ?? 0;
}

/** Of all their logs. */
function partsOf(rows: readonly LedgerRow[]): readonly Buffer[] {
  return rows.flatMap(({ content }) => ('write' in content ? (content.write.log?.content ?? []) : []));
}

interface Writing {
  /** Of all entries, one after the other. */
  readonly logs: Buffer | null;
  /** What waits for them is claimed with the same commit. */
  readonly places: KeptPlaces | null;
}

/** In their order; each of another build. */
async function writeEntries(
  db: Database | DatabaseTransaction,
  rows: readonly LedgerRow[],
  { logs, places }: Writing,
): Promise<Flushed> {
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
  const values = [
    uuidArray(rows.map(({ buildId }) => buildId)),
    integerArray(rows.map(({ attemptNo }) => attemptNo)),
    integerArray(rows.map(({ number }) => number)),
    JSON.stringify(writes),
    JSON.stringify(ends),
    logs,
    WITHDRAWN_EVENT,
    LEASE_SECONDS,
  ];
  const query = places
    ? CompiledQuery.raw(AND_CLAIM, [
        ...values,
        ...claimTerms(places.claimer, places.count),
        uuidArray(places.ending.map(({ buildId }) => buildId)),
      ])
    : CompiledQuery.raw(STATEMENT, values);
  const result = await db.executeQuery<EntryOrClaimed>(query);
  const found = new Map<string, Found>();
  const given: ClaimedRow[] = [];
  let hasLooked = places !== null;
  for (const row of result.rows) {
    if (row.build_id !== null) {
      const { build_id: buildId, state, answer, entry_phase: phase, freed } = row;
      found.set(buildId, { state, answer, phase, freed });
    } else if (row.state === 'NOT_CLAIMED') hasLooked = false;
    else given.push(row);
  }
  return { found: rows.map(({ buildId }) => found.get(buildId) ?? null), given: hasLooked ? given : null };
}

/** As if each of them had a transaction of its own. */
async function passFailpoints(rows: readonly LedgerRow[], found: readonly Found[]): Promise<void> {
  for (const [index, { content }] of rows.entries()) {
    if (found[index]?.state !== 'APPLIED') continue;
    if ('end' in content) await failpoint('finish.written');
    await failpoint('ledger.written');
  }
}
