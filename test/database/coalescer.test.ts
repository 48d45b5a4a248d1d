import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Coalescer, type Outcome } from '../../src/database/coalescer.ts';
import { OverloadedError, UnavailableError } from '../../src/errors.ts';

interface Row {
  readonly id: number;
  /** `refused`: by the flush, as an outcome. `poisoned`: nothing that it is part of can be written. */
  readonly kind: 'good' | 'refused' | 'poisoned';
}

/** What becomes of one flush: before the commit it has written nothing, after it everything, and in neither case it answers. */
type Fate = 'answered' | 'failed before' | 'failed after' | 'lost before' | 'lost after';

class Poison extends Error {}
class Refused extends Error {}
const failure = () => new Error('this statement failed');
const loss = () => Object.assign(new Error('the connection was lost'), { code: 'ECONNRESET' });

/** A database that commits when the test says so, and keeps a row that comes twice once. */
class Store {
  readonly committed = new Map<number, number>();
  readonly order: number[] = [];
  readonly flights: { readonly rows: readonly Row[]; readonly end: (fate: Fate) => void }[] = [];
  most = 0;

  flush = (rows: readonly Row[]): Promise<Outcome<string>[]> => {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome<string>[]>();
    const flight = {
      rows,
      end: (fate: Fate) => {
        this.flights.splice(this.flights.indexOf(flight), 1);
        if (rows.some(({ kind }) => kind === 'poisoned')) return reject(new Poison());
        if (fate === 'failed before') return reject(failure());
        if (fate === 'lost before') return reject(loss());
        const outcomes = rows.map((row) => this.#commit(row));
        if (fate === 'answered') resolve(outcomes);
        else reject(fate === 'failed after' ? failure() : loss());
      },
    };
    this.flights.push(flight);
    this.most = Math.max(this.most, this.flights.length);
    return promise;
  };

  #commit({ id, kind }: Row): Outcome<string> {
    if (kind === 'refused') return { ok: false, error: new Refused(String(id)) };
    if (!this.committed.has(id)) this.order.push(id);
    this.committed.set(id, this.committed.get(id) ?? this.committed.size);
    return { ok: true, value: `${id} is row ${this.committed.get(id)}` };
  }
}

const turn = () => new Promise((done) => setImmediate(done));

type Step =
  | { readonly kind: 'add'; readonly rows: readonly Row['kind'][] }
  | { readonly kind: 'end'; readonly which: number; readonly fate: Fate }
  | { readonly kind: 'turn' };

const someStep = fc.oneof(
  fc.record({
    kind: fc.constant('add' as const),
    rows: fc.array(fc.constantFrom<Row['kind'][]>('good', 'good', 'good', 'good', 'refused', 'poisoned'), {
      minLength: 1,
      maxLength: 6,
    }),
  }),
  fc.record({
    kind: fc.constant('end' as const),
    which: fc.nat(3),
    fate: fc.constantFrom<Fate[]>('answered', 'answered', 'failed before', 'failed after', 'lost before', 'lost after'),
  }),
  fc.record({ kind: fc.constant('turn' as const) }),
);

const LIMITS = { name: 'rows', lanes: 2, maxRows: 4, maxWaiting: 9 };

interface Caller extends Row {
  /** How often it was answered. */
  answers: number;
  value?: string;
  error?: unknown;
  /** At the moment of the answer. */
  wasCommitted?: boolean;
}

class Bench {
  readonly store = new Store();
  readonly callers: Caller[] = [];
  readonly coalescer = new Coalescer<Row, string>({ ...LIMITS, flush: this.store.flush });

  add(kind: Row['kind']): void {
    const caller: Caller = { id: this.callers.length, kind, answers: 0 };
    const isFull = this.coalescer.waiting >= LIMITS.maxWaiting;
    this.callers.push(caller);
    const answered = (answer: Partial<Caller>) => {
      caller.answers += 1;
      Object.assign(caller, answer, { wasCommitted: this.store.committed.has(caller.id) });
    };
    this.coalescer.add({ id: caller.id, kind }).then(
      (value) => answered({ value }),
      (error: unknown) => answered({ error }),
    );
    expect(this.coalescer.waiting).toBeLessThanOrEqual(LIMITS.maxWaiting);
    if (isFull) expect(this.coalescer.waiting).toBe(LIMITS.maxWaiting);
  }

  async play(step: Step): Promise<void> {
    if (step.kind === 'add') for (const kind of step.rows) this.add(kind);
    else if (step.kind === 'end') this.store.flights[step.which % this.store.flights.length]?.end(step.fate);
    else await turn();
  }

  /** Every flush is answered from now on. */
  async finish(): Promise<void> {
    // A flush each of every row, and as many of the batches that they were part of.
    for (let turns = 0; turns < 4 * this.callers.length + 4; turns += 1) {
      await turn();
      for (const flight of [...this.store.flights]) flight.end('answered');
    }
  }

  check({ id, kind, answers, value, error, wasCommitted }: Caller): void {
    expect(answers).toBe(1);
    if (value !== undefined) {
      expect([kind, wasCommitted, value]).toEqual(['good', true, `${id} is row ${this.store.committed.get(id)}`]);
    } else if (error instanceof OverloadedError) {
      expect([wasCommitted, error.retryAfter]).toEqual([false, 1]);
    } else if (error instanceof Refused) {
      expect([kind, error.message]).toEqual(['refused', String(id)]);
    } else if (error instanceof Poison) {
      expect(kind).toBe('poisoned');
    } else {
      // Of a loss nobody knows; what failed as one of many was tried alone, and failed again.
      expect(['the connection was lost', 'this statement failed']).toContain((error as Error).message);
    }
  }
}

it('answers everybody once, after the commit, with his own result, whatever fails', async () => {
  const walk = fc.asyncProperty(fc.array(someStep, { maxLength: 40 }), async (steps) => {
    const bench = new Bench();
    for (const step of steps) await bench.play(step);
    await bench.finish();
    for (const caller of bench.callers) bench.check(caller);
    expect(bench.store.most).toBeLessThanOrEqual(LIMITS.lanes);
    expect(bench.coalescer.waiting).toBe(0);
    await bench.coalescer[Symbol.asyncDispose]();
  });
  await fc.assert(walk, { numRuns: 300 });
});

it('lets one row alone fail, keeps the order of a lane, and writes what came meanwhile together', async () => {
  const store = new Store();
  await using coalescer = new Coalescer({ ...LIMITS, lanes: 1, flush: store.flush });
  const add = (id: number, kind: Row['kind'] = 'good') => coalescer.add({ id, kind });
  const first = add(0);
  await turn();
  const others = [add(1), add(2, 'poisoned'), add(3), add(4), add(5)];
  const settled = Promise.allSettled(others);
  expect(store.flights.map(({ rows }) => rows.length)).toEqual([1]);
  const lengths: number[] = [];
  while (store.order.length < 5) {
    for (const flight of [...store.flights]) {
      lengths.push(flight.rows.length);
      flight.end('answered');
    }
    await turn();
  }
  expect(await first).toBe('0 is row 0');
  expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', ...Array(3).fill('fulfilled')]);
  expect(store.order).toEqual([0, 1, 3, 4, 5]);
  // Four of five together, in vain; each alone; the fifth.
  expect(lengths).toEqual([1, 4, 1, 1, 1, 1, 1]);
});

it('asks a database that is gone once more, not once for every row', async () => {
  const store = new Store();
  await using coalescer = new Coalescer({ ...LIMITS, flush: store.flush });
  const all = Promise.allSettled([0, 1, 2, 3].map((id) => coalescer.add({ id, kind: 'good' })));
  let flushes = 0;
  for (; flushes < 2; flushes += 1) {
    await turn();
    store.flights[0]?.end(flushes === 0 ? 'lost after' : 'lost before');
  }
  const reasons = (await all).map((one) => one.status === 'rejected' && (one.reason as { code?: unknown }).code);
  expect(reasons).toEqual(Array(4).fill('ECONNRESET'));
  expect(store.flights).toHaveLength(0);
});

it('is bounded by bytes, too: of one flush, and of what waits', async () => {
  const flushed: number[][] = [];
  const gate = Promise.withResolvers<void>();
  await using coalescer = new Coalescer<number, number>({
    name: 'rows',
    lanes: 1,
    sizeOf: (bytes) => bytes,
    maxBytes: 10,
    maxWaitingBytes: 40,
    flush: async (rows) => {
      flushed.push([...rows]);
      await gate.promise;
      return rows.map((value) => ({ ok: true, value }));
    },
  });
  // One that is more than all that may wait is not refused for good.
  const all = [50].map((row) => coalescer.add(row));
  await turn();
  all.push(...[6, 4, 1, 20, 9].map((row) => coalescer.add(row)));
  await expect(coalescer.add(1)).rejects.toThrow(OverloadedError);
  gate.resolve();
  expect(await Promise.all(all)).toEqual([50, 6, 4, 1, 20, 9]);
  expect(flushed).toEqual([[50], [6, 4], [1], [20], [9]]);
});

it('ends what is on its way when it is closed, and refuses what waits and what comes', async () => {
  const store = new Store();
  const coalescer = new Coalescer({ ...LIMITS, lanes: 1, flush: store.flush });
  const flying = coalescer.add({ id: 0, kind: 'good' });
  await turn();
  const refused = expect(coalescer.add({ id: 1, kind: 'good' })).rejects.toThrow(UnavailableError);
  const closing = coalescer[Symbol.asyncDispose]();
  await refused;
  await expect(coalescer.add({ id: 2, kind: 'good' })).rejects.toThrow(UnavailableError);
  store.flights[0]?.end('answered');
  expect(await flying).toBe('0 is row 0');
  await closing;
  await coalescer[Symbol.asyncDispose]();
  expect(store.order).toEqual([0]);
});
