/**
 * The queue as random sequences of commands against its SQL, compared with a reference model after every one; and the
 * same against SQL in which one safeguard is missing, which must fail.
 */
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { COMMANDS, comeToRest } from './model/queue-commands.ts';
import { QueueWorld } from './model/queue-world.ts';
import { ReferenceQueue } from './model/reference-queue.ts';

const RUNS = Number(process.env.MODEL_RUNS ?? 700);
const COMMANDS_PER_RUN = 60;
/** A missing safeguard must be noticed within so many. */
const MUTANT_RUNS = 600;
const DEADLINE_MS = 300_000;
const SEED = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** That the model notices something is shown once: by chance some are met late. */
const MUTANT_SEED = Number(process.env.MODEL_SEED ?? 1);

interface Mutant {
  readonly name: string;
  /** A function of the queue, and what must be in it exactly once. */
  readonly in: string;
  readonly from: string;
  readonly to: string;
}

const MUTANTS: readonly Mutant[] = [
  {
    name: 'the limits of credentials',
    in: 'queue_refresh_gates(text[])',
    from: 'coalesce(g.running < g.max_running, true) as open',
    to: 'true as open',
  },
  {
    name: 'the limit of a credential, where its project goes on with another one',
    in: 'queue_take(uuid, double precision, integer[], boolean, uuid)',
    from: 'p.id = t.pool_id and p.open and',
    to: 'p.id = t.pool_id and',
  },
  {
    name: 'the order of the credentials',
    in: 'queue_take(uuid, double precision, integer[], boolean, uuid)',
    from: 'if p_gated then',
    to: 'if false then',
  },
  {
    name: 'the limits of keys',
    in: 'queue_refresh_lanes(uuid[], text[])',
    from: 'set ready = l.rank is not null and (l.key',
    to: 'set ready = l.rank is not null or (l.key',
  },
  {
    name: 'the limit of a project',
    in: 'queue_refresh(uuid[])',
    from: 'and (o.max_running is null or o.running < o.max_running)\n',
    to: '\n',
  },
  {
    name: 'the count of what has ended',
    in: 'queue_count_removals(integer)',
    from: 'perform queue_refresh(v_projects);',
    to: '',
  },
  {
    name: 'the count of what has ended before its key is found to be full',
    in: 'queue_claim_ids(uuid, text[], text[], integer, uuid[])',
    from: 'p_max > 1 or k.running >=',
    to: 'false and k.running >=',
  },
  {
    name: 'the count of what has ended before its project is found to be full',
    in: 'queue_claim_ids(uuid, text[], text[], integer, uuid[])',
    from: 'o.max_running is not null and (p_max',
    to: 'false and (p_max',
  },
  {
    name: 'the limit of all',
    in: 'queue_claim_ids(uuid, text[], text[], integer, uuid[])',
    from: 'least(p_max, v_state.max_running - v_state.running)',
    to: 'p_max',
  },
  {
    name: 'the pause of all',
    in: 'queue_claim_ids(uuid, text[], text[], integer, uuid[])',
    from: 'if v_state.paused_at is not null or v_left <= 0 then',
    to: 'if v_left <= 0 then',
  },
  {
    name: 'the limit of a credential that becomes full in the middle of a set',
    in: 'queue_take_starts(uuid[], double precision[], integer[], double precision, boolean, uuid[], uuid)',
    from: 'where g.running + c.n > g.max_running',
    to: 'where false',
  },
  {
    name: 'the limit of a key of which a set has several',
    in: 'queue_take_starts(uuid[], double precision[], integer[], double precision, boolean, uuid[], uuid)',
    from: "key = '' or of_key <= room",
    to: 'true',
  },
  {
    name: 'the order of what waits and the one that has just come',
    in: 'queue_take_only(integer[], uuid[], double precision, uuid)',
    from: 'where other.shape_id = any(p_shapes))',
    to: 'where false)',
  },
  {
    name: 'what waits, told that a limit has room',
    in: 'queue_remove_many(uuid[])',
    from: "v.key <> ''\n     or (v.gate",
    to: '(v.gate',
  },
];

/** Two are taken as one set already, so that a few items are enough to meet it. */
const SMALL_SETS: Mutant = {
  name: 'the least that is taken as a set',
  in: 'queue_claim_ids(uuid, text[], text[], integer, uuid[])',
  from: 'v_left >= 6',
  to: 'v_left >= 2',
};

let database: TestDatabase;
let world: QueueWorld;

beforeAll(async () => {
  database = await openTestDatabase();
  await replace(SMALL_SETS);
  world = await QueueWorld.open(database.db);
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

async function walk(numRuns: number, seed: number) {
  let commands = 0;
  let claimed = 0;
  const property = fc.asyncProperty(
    fc.commands(COMMANDS, { maxCommands: COMMANDS_PER_RUN, size: 'max' }),
    async (sequence) => {
      await world.reset();
      const model = new ReferenceQueue();
      await fc.asyncModelRun(() => ({ model, real: world }), sequence);
      await comeToRest(model, world);
      commands += [...sequence].length;
      claimed += model.count;
    },
  );
  const details = await fc.check(property, { numRuns, seed, endOnFailure: true });
  const error = details.errorInstance instanceof Error ? details.errorInstance.message : null;
  return { ...details, error, commands, claimed };
}

/** Takes the safeguard away while `work` runs. */
async function without<T>(mutant: Mutant, work: () => Promise<T>): Promise<T> {
  const text = await replace(mutant);
  try {
    return await work();
  } finally {
    await sql.raw(text).execute(database.db);
  }
}

/** Gives what was there before. */
async function replace(mutant: Mutant): Promise<string> {
  const { rows } = await sql<{ text: string }>`
    select pg_get_functiondef(${mutant.in}::regprocedure) as text`.execute(database.db);
  const text = rows[0]?.text ?? '';
  const parts = text.split(mutant.from);
  if (parts.length !== 2) throw new Error(`“${mutant.name}” is not once in ${mutant.in}: adapt this test`);
  await sql.raw(parts.join(mutant.to)).execute(database.db);
  return text;
}

describe('the queue', () => {
  it('is what the model says, whatever happens in whatever order', { timeout: DEADLINE_MS }, async () => {
    const { numRuns, commands, claimed, failed, error, counterexample } = await walk(RUNS, SEED);
    console.info(`queue model: ${numRuns} runs, ${commands} commands, ${claimed} items, seed ${SEED}`);
    expect(failed, `seed ${SEED}: ${error}\n${counterexample}`).toBe(false);
  });

  it.each(MUTANTS)('is not that without $name', { timeout: DEADLINE_MS }, async (mutant) => {
    const { numRuns, failed, error } = await without(mutant, () => walk(MUTANT_RUNS, MUTANT_SEED));
    console.info(`without ${mutant.name}: noticed in run ${numRuns}: ${error?.split('\n', 1)[0]}`);
    expect(failed).toBe(true);
  });
});
