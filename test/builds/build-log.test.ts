/** The log of a build: what a program prints at once is one chunk, and a follower takes it in parts. */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { readLog } from '../../src/builds/build-log.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openTestStack } from '../support/orchestrator.ts';

test('a large chunk is decoded once for those who read it in parts, a small one each time', async () => {
  await using stack = await openTestStack();
  const { db } = stack.orchestrator;
  const { id: projectId } = await stack.createProject();
  await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  const build = await claimByHand(stack, await registerByHand(stack));
  const ledger = openPostgresLedger(stack.orchestrator, build);
  const linesOf = (name: string, count: number) =>
    Array.from({ length: count }, (_, n) => ({ stream: 'stdout' as const, text: `${name} ${n} ${'ä'.repeat(50)}` }));
  const printed = [linesOf('small', 3), linesOf('large', 4_000), linesOf('other', 2_000)];
  for (const lines of printed) await ledger.write({ lines });
  const all = printed.flat().map(({ text }) => text);
  const read = async (after: number) =>
    (await readLog(db, { buildId: build.id, after, limit: 1 })).flatMap(({ lines }) => lines);
  for (let cursor = 0; cursor < all.length; ) {
    const [next, ...more] = await read(cursor);
    expect(next).toMatchObject({ number: cursor + 1, text: all[cursor] });
    expect(more.map(({ text }) => text)).toEqual(all.slice(cursor + 1, cursor + 1 + more.length));
    cursor += Math.min(700, 1 + more.length);
  }
  await sql`update build_logs set content = ''`.execute(db);
  expect((await read(3))[0]?.text).toBe(all[3]);
  expect((await read(5_000))[0]?.text).toBe(all[5_000]);
  await expect(read(0)).rejects.toThrow();
  await sql`delete from build_logs`.execute(db);
  expect(await read(3)).toEqual([]);
});
