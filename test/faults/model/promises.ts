/** What must be true of every run once it has come to rest. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { sql } from 'kysely';
import type { Database } from '../../../src/database/database.ts';
import { STEPS } from './commands.ts';
import type { Model } from './reference-model.ts';
import type { World } from './world.ts';

/** Enough for every build to lose its worker, be claimed again and be published behind all others. */
const MAX_ROUNDS = 400;

/** One good worker does what is left; nothing may need more than that. */
export async function comeToRest(model: Model, world: World): Promise<void> {
  for (let round = 0; model.some('PENDING') || model.some('RUNNING'); round += 1) {
    ok(round < MAX_ROUNDS, `a build hangs: ${JSON.stringify(model.builds)}`);
    if (world.attempts.length > 0) await STEPS.work(round).run(model, world);
    else {
      if (model.some('PENDING')) await STEPS.claim(0).run(model, world);
      else await STEPS.tick.run(model, world);
      await STEPS.rescue.run(model, world);
    }
  }
  for (let round = 0; (await outstanding(world.orchestrator.db)) > 0; round += 1) {
    ok(round < 10, 'a callback is never due');
    await STEPS.tick.run(model, world);
    await STEPS.tick.run(model, world);
    await STEPS.tick.run(model, world);
    await STEPS.deliver('never').run(model, world);
  }
}

async function outstanding(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int n from deliveries where status <> 'DELIVERED'`.execute(db);
  return rows[0]?.n ?? 0;
}

export async function checkPromises(model: Model, world: World): Promise<void> {
  const { db } = world.orchestrator;
  for (const [index, build] of model.builds.entries()) {
    const commits = world.remote.commits.filter((commit) => commit.build === index).map(({ sha }) => sha);
    ok(commits.length <= 1, `build ${index} has ${commits.length} commits on the remote: ${commits.join(', ')}`);
    if (build.pushed) deepStrictEqual(commits.length, 1, `what build ${index} has proved is not there`);
    if (build.status === 'CANCELLED') deepStrictEqual(commits, [], `cancelled build ${index} has pushed`);
    if (build.status === 'COMPLETED') deepStrictEqual(commits.length, 1, `completed build ${index} has pushed nothing`);
    deepStrictEqual(world.received.get(world.ids[index] ?? '')?.size, 1, `callbacks of build ${index}`);
  }
  const { rows } = await sql<{ events: number; told: number; highest: number; ends: number; queued: number }>`
    select b.last_seq::int as told, count(e.seq)::int as events, max(e.seq)::int as highest,
           count(*) filter (where e.type = 'FINISHED')::int as ends,
           (select count(*)::int from queue_items i where i.id = b.id) as queued
      from build_audit b join build_events e on e.build_id = b.id group by b.id`.execute(db);
  for (const row of rows) {
    deepStrictEqual([row.events, row.highest], [row.told, row.told], 'events are 1..N');
    deepStrictEqual([row.ends, row.queued], [1, 0], 'a build ends once, and then it is in no queue');
  }
  const { rows: wrong } = await sql`select queue_check()`.execute(db);
  deepStrictEqual(wrong, [], 'the queue agrees with itself');
  deepStrictEqual(rows.length, model.builds.length, 'every accepted build is there');
}
