/** The end of a build: terminal state, last event, callback and queue in one transaction. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { DatabaseTransaction } from '../database/database.ts';
import { appendEvents } from '../events/append-events.ts';
import {
  DELIVERIES_TOPIC,
  eventsTopic,
  logTopic,
  projectTopic,
  QUEUE_TOPIC,
  type Topic,
  WORKERS_TOPIC,
} from '../events/topics.ts';
import type { BuildStatus } from '../events/vocabulary.ts';
import type { Queue } from '../queue/queue.ts';
import { failpoint } from '../std/failpoint.ts';
import type { Build } from './build.ts';
import { giveUpMessages } from './build-message.ts';
import { withdrawQuestions } from './build-question.ts';
import type { BuildFailure, BuildResult } from './build-result.ts';
import { mayAsk } from './build-spec.ts';
import { forgetIntendedCommit } from './intended-commit.ts';

/** How a build ended. */
export type Conclusion =
  | { readonly status: 'COMPLETED'; readonly result: Partial<BuildResult> }
  | { readonly status: 'FAILED'; readonly result: Partial<BuildResult>; readonly failure: BuildFailure }
  | { readonly status: 'CANCELLED'; readonly result: Partial<BuildResult>; readonly reason: string | null };

export interface Finish {
  readonly build: Pick<Build, 'id' | 'projectId' | 'spec'>;
  /** Of the worker that finishes it; null when no worker runs it. The caller holds the row's lock and the fence. */
  readonly attemptNo: number | null;
  readonly conclusion: Conclusion;
  /** Of the attempt that is still open; FINISHED if absent. */
  readonly outcome?: 'FINISHED' | 'LOST';
  readonly queue: Queue;
}

const NOTHING: BuildResult = {
  success: false,
  output: null,
  error: null,
  publication: 'NONE',
  commitSha: null,
  commitUrl: null,
  branch: null,
  filesChanged: [],
  durationMs: 0,
  artifacts: [],
  usage: null,
  sessionId: null,
};

/** Returns what to announce after the commit. */
export async function writeFinish(trx: DatabaseTransaction, finish: Finish): Promise<Topic[]> {
  const { build, conclusion, outcome = 'FINISHED' } = finish;
  const failure = conclusion.status === 'FAILED' ? conclusion.failure : null;
  await giveUpMessages(trx, build.id);
  await appendEvents(trx, { buildId: build.id, attemptNo: finish.attemptNo }, [
    ...(mayAsk(build.spec) ? await withdrawQuestions(trx, build.id) : []),
    { type: 'FINISHED', data: terminalEvent(conclusion.status, conclusion, failure) },
  ]);
  const result: BuildResult = {
    ...NOTHING,
    branch: build.spec.branch,
    ...conclusion.result,
    success: conclusion.status === 'COMPLETED',
    error: failure,
  };
  const json = JSON.stringify(result);
  // Of a build that ends without a word of its agent, what was published is what it has used.
  const usage = sql<string>`coalesce(${result.usage && JSON.stringify(result.usage)}::jsonb, usage)`;
  await trx
    .updateTable('build_audit')
    .set({
      status: conclusion.status,
      phase: 'DONE',
      finished_at: sql<Date>`clock_timestamp()`,
      lease_until: null,
      waiting_for: null,
      resume_at: null,
      // The duration is the database's, so that clocks of workers do not matter.
      result: sql<string>`${json}::jsonb || jsonb_build_object('usage', ${usage}, 'durationMs',
        coalesce(floor(extract(epoch from clock_timestamp() - started_at) * 1000), 0))`,
      failure: failure ? JSON.stringify(failure) : null,
      usage,
    })
    .where('id', '=', build.id)
    .execute();
  await trx
    .updateTable('build_attempts')
    .set({ ended_at: sql<Date>`now()`, outcome })
    .where('build_id', '=', build.id)
    .where('ended_at', 'is', null)
    .execute();
  // A build that is completed has proved its commit and forgotten it.
  if (failure) await forgetIntendedCommit(trx, build.id);
  const topics: Topic[] = [eventsTopic(build.id), logTopic(build.id), projectTopic(build.projectId), WORKERS_TOPIC];
  if (await finish.queue.remove(trx, build.id)) topics.push(QUEUE_TOPIC);
  if (build.spec.callbackUrl) {
    await trx
      .insertInto('deliveries')
      .values({
        id: v7(),
        build_id: build.id,
        project_id: build.projectId,
        kind: 'build.finished',
        url: build.spec.callbackUrl,
      })
      .execute();
    topics.push(DELIVERIES_TOPIC);
  }
  await failpoint('finish.written');
  return topics;
}

function terminalEvent(status: BuildStatus, conclusion: Conclusion, failure: BuildFailure | null) {
  if (failure) return { status, reason: failure.reason, message: failure.message };
  return { status, reason: null, message: conclusion.status === 'CANCELLED' ? conclusion.reason : null };
}
