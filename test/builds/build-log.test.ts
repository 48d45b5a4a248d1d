/** The log of a build: what a program prints at once is one chunk, and a follower takes it in parts. */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { LogLine } from '../../src/agents/agent.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { ChunkEncoder, decodeLines } from '../../src/builds/log-chunk.ts';
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

test('a chunk gives the lines that it was made of, of any length and characters, as do those of earlier versions', async () => {
  const texts = [
    '',
    'plain',
    'ä€😀',
    'two\nlines',
    'a \0 in it',
    '\ufeffmark',
    '[]',
    'x'.repeat(65_536),
    '€'.repeat(40_000),
  ];
  const lines = texts.flatMap((text) =>
    (['stdout', 'stderr', 'system'] as const).map((stream): LogLine => ({ stream, text })),
  );
  const few = lines.slice(0, 6);
  const encoder = new ChunkEncoder();
  const encode = async (part: readonly LogLine[]) => Buffer.concat(await encoder.encode(part));
  // Also by a compressor that has made others, and by several at once.
  const wanted = [lines, few, ...Array.from({ length: 12 }, (_, n) => lines.slice(n)), few, []];
  const chunks = await Promise.all(wanted.map((part) => encode(part)));
  expect(await Promise.all(chunks.map(decodeLines))).toEqual(wanted);
  expect(await decodeLines(await encode(lines))).toEqual(lines);

  const earlier = JSON.stringify(lines.map(({ stream, text }) => [stream, text]));
  expect(await decodeLines(zstdCompressSync(earlier))).toEqual(lines);
  await expect(decodeLines(zstdCompressSync('{}'))).rejects.toThrow('no known form');

  const cut = `${'y'.repeat(65_535)}\ufffd … [5 characters cut]`;
  const long: LogLine = { stream: 'stdout', text: `${'y'.repeat(65_535)}😀1234` };
  expect(await decodeLines(await encode([long, ...few]))).toEqual([{ stream: 'stdout', text: cut }, ...few]);
  // Whoever searches stored logs for a text finds it.
  expect(zstdDecompressSync(await encode(few)).includes('plainplain')).toBe(true);
});
