/** Ends a build as a worker would, without one. */
import { type Build, findBuild } from '../../src/builds/build.ts';
import { failure } from '../../src/builds/build-result.ts';
import { type Conclusion, writeFinish } from '../../src/builds/finish-build.ts';
import { ChunkEncoder } from '../../src/builds/log-chunk.ts';
import { logTopic } from '../../src/events/topics.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';

export const FAILED: Conclusion = {
  status: 'FAILED',
  result: {},
  failure: failure('NO_CHANGES', 'VERIFYING', 'The agent changed nothing.'),
};

const COMPLETED: Conclusion = {
  status: 'COMPLETED',
  result: {
    output: 'done',
    publication: 'PUSHED',
    commitSha: 'c0ffee',
    filesChanged: [{ path: 'a.txt', previousPath: null, status: 'ADDED', additions: 3, deletions: 0 }],
    usage: {
      inputTokens: 5_000_000_000,
      outputTokens: 7,
      cacheReadTokens: null,
      cacheWriteTokens: null,
      costUsd: 0.25,
      turns: 2,
    },
    sessionId: 'session',
  },
};

export async function finish(
  { db, hub }: Orchestrator,
  buildId: string,
  conclusion: Conclusion = COMPLETED,
): Promise<Build> {
  const build = await findBuild(db, buildId);
  if (!build) throw new Error('no such build');
  const topics = await db.transaction().execute((trx) => writeFinish(trx, { build, conclusion }));
  hub.announce(...topics);
  return build;
}

/** Appends lines to the log of a build, as one chunk. */
export async function print({ db, hub }: Orchestrator, buildId: string, texts: readonly string[]): Promise<void> {
  const content = Buffer.concat(await new ChunkEncoder().encode(texts.map((text) => ({ stream: 'stdout', text }))));
  await db.transaction().execute(async (trx) => {
    const { last_line } = await trx
      .updateTable('build_audit')
      .set((row) => ({ last_line: row('last_line', '+', texts.length) }))
      .where('id', '=', buildId)
      .returning('last_line')
      .executeTakeFirstOrThrow();
    const lines = { first_line: last_line - texts.length + 1, line_count: texts.length };
    const chunk = { build_id: buildId, attempt_no: 1, ...lines, at: new Date(), content };
    await trx.insertInto('build_logs').values(chunk).execute();
  });
  hub.announce(logTopic(buildId));
}
