/** The end of a build: terminal state, last event, callback and queue in one transaction. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { DatabaseTransaction } from '../database/database.ts';
import { eventRow } from '../events/append-events.ts';
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
import { failpoint } from '../std/failpoint.ts';
import type { Build } from './build.ts';
import { WITHDRAWN_EVENT } from './build-question.ts';
import type { BuildFailure, BuildResult } from './build-result.ts';

/** How a build ended. */
export type Conclusion =
  | { readonly status: 'COMPLETED'; readonly result: Partial<BuildResult> }
  | { readonly status: 'FAILED'; readonly result: Partial<BuildResult>; readonly failure: BuildFailure }
  | { readonly status: 'CANCELLED'; readonly result: Partial<BuildResult>; readonly reason: string | null };

export interface Finish {
  readonly build: Pick<Build, 'id' | 'projectId' | 'spec'>;
  readonly conclusion: Conclusion;
  /** Of the attempt that is still open; FINISHED if absent. */
  readonly outcome?: 'FINISHED' | 'LOST';
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

/** A build's end, as `end_builds` takes it. */
export interface BuildEnd {
  readonly buildId: string;
  readonly status: Conclusion['status'];
  readonly result: BuildResult;
  readonly failure: BuildFailure | null;
  readonly outcome: 'FINISHED' | 'LOST';
  readonly event: object;
  readonly delivery: { readonly id: string; readonly url: string } | null;
}

export function buildEnd({ build, conclusion, outcome = 'FINISHED' }: Finish): BuildEnd {
  const failure = conclusion.status === 'FAILED' ? conclusion.failure : null;
  return {
    buildId: build.id,
    status: conclusion.status,
    result: {
      ...NOTHING,
      branch: build.spec.branch,
      ...conclusion.result,
      success: conclusion.status === 'COMPLETED',
      error: failure,
    },
    failure,
    outcome,
    event: eventRow({ type: 'FINISHED', data: terminalEvent(conclusion.status, conclusion, failure) }),
    delivery: build.spec.callbackUrl ? { id: v7(), url: build.spec.callbackUrl } : null,
  };
}

/** The caller holds the row's lock and, for a worker, the fence. Returns what to announce after the commit. */
export async function writeFinish(trx: DatabaseTransaction, finish: Finish): Promise<Topic[]> {
  const { rows } = await sql<{ freed: boolean }>`
    select finish_builds(${JSON.stringify([buildEnd(finish)])}::jsonb, ${WITHDRAWN_EVENT}::jsonb) as freed`.execute(
    trx,
  );
  await failpoint('finish.written');
  return finishTopics(finish.build, rows[0]?.freed ?? false);
}

/** `freed`: what a limit holds back may be able to start now. */
export function finishTopics({ id, projectId, spec }: Finish['build'], freed: boolean): Topic[] {
  return [
    eventsTopic(id),
    logTopic(id),
    projectTopic(projectId),
    WORKERS_TOPIC,
    ...(freed ? [QUEUE_TOPIC] : []),
    ...(spec.callbackUrl ? [DELIVERIES_TOPIC] : []),
  ];
}

function terminalEvent(status: BuildStatus, conclusion: Conclusion, failure: BuildFailure | null) {
  if (failure) return { status, reason: failure.reason, message: failure.message };
  return { status, reason: null, message: conclusion.status === 'CANCELLED' ? conclusion.reason : null };
}
