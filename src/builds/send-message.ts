/** Tell the agent of a build something. Accepted means that it is given it, or that the message says why not. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { z } from 'zod';
import { cutText } from '../agents/cut-text.ts';
import { audit } from '../database/audit.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { BuildStateError, IdempotencyConflictError, InvalidInputError, inputIssues, NotFoundError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import { MAX_EVENT_TEXT } from '../events/event.ts';
import { eventsTopic, projectTopic, workerTopic } from '../events/topics.ts';
import { MESSAGE_MODES, type MessageMode } from '../events/vocabulary.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Build, isFinished, toBuild } from './build.ts';
import { type BuildMessage, MAX_MESSAGES, toBuildMessage } from './build-message.ts';
import { plainText } from './build-spec.ts';
import type { LedgerDeps } from './postgres-ledger.ts';
import { checkIdempotencyKey } from './start-build.ts';

const MAX_MESSAGE_BYTES = 64 * 1024;

const messageInput = z.strictObject({
  text: plainText(MAX_MESSAGE_BYTES).refine((text) => text.trim() !== '', 'must not be empty'),
  mode: z.enum(MESSAGE_MODES),
});

export interface SendMessageInput {
  readonly buildId: string;
  readonly text: string;
  readonly mode: MessageMode;
  readonly idempotencyKey?: string | null | undefined;
}

export interface SentMessage {
  readonly message: BuildMessage;
  /** The message was there before: same key, same text and mode. */
  readonly deduplicated: boolean;
}

/**
 * Throws InvalidInputError, NotFoundError, IdempotencyConflictError, or BuildStateError when no agent will hear it any
 * more, or the build has had too many messages.
 */
export async function sendMessage(
  deps: Pick<LedgerDeps, 'db' | 'hub'>,
  input: SendMessageInput,
  actor: string,
): Promise<SentMessage> {
  const parsed = messageInput.safeParse({ text: input.text, mode: input.mode });
  if (!parsed.success) throw new InvalidInputError(inputIssues(parsed.error, ['input']));
  const { text, mode } = parsed.data;
  const idempotencyKey = checkIdempotencyKey(input.idempotencyKey);
  const sent = await inTransaction(deps.db, async (trx) => {
    const build = await lockBuild(trx, input.buildId);
    const earlier = idempotencyKey === null ? null : await findSame(trx, { buildId: build.id, idempotencyKey });
    if (earlier && (earlier.text !== text || earlier.mode !== mode)) {
      throw new IdempotencyConflictError(build.id);
    }
    if (earlier) return { message: earlier, deduplicated: true, build };
    refuseWithoutListener(build);
    await refuseTooMany(trx, build);
    const row = await trx
      .insertInto('build_messages')
      .values({ id: v7(), build_id: build.id, mode, text, sent_by: actor, idempotency_key: idempotencyKey })
      .returningAll()
      .executeTakeFirstOrThrow();
    await trx
      .updateTable('build_audit')
      .set({ talk_no: sql<number>`talk_no + 1` })
      .where('id', '=', build.id)
      .execute();
    await appendEvents(trx, { buildId: build.id, attemptNo: null }, [
      { type: 'MESSAGE_SENT', data: { messageId: row.id, mode, text: cutText(text, MAX_EVENT_TEXT), sentBy: actor } },
    ]);
    await audit(trx, {
      actor,
      action: 'sendBuildMessage',
      subjectType: 'build',
      subjectId: build.id,
      projectId: build.projectId,
      detail: { mode },
    });
    await failpoint('talk.written');
    return { message: toBuildMessage(row), deduplicated: false, build };
  });
  await failpoint('talk.committed');
  const { build, ...answer } = sent;
  if (!answer.deduplicated) {
    deps.hub.announce(eventsTopic(build.id), projectTopic(build.projectId), workerTopic(build.id));
  }
  return answer;
}

/** Throws NotFoundError. */
export async function lockBuild(trx: DatabaseTransaction, id: string): Promise<Build> {
  const row = await trx.selectFrom('build_audit').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  if (!row) throw new NotFoundError('build', toPublicId('build', id));
  return toBuild(row);
}

const FOLLOW_UP = 'Start a follow-up build with resumeFrom to go on with its session.';

function refuseWithoutListener(build: Build): void {
  if (isFinished(build.status)) {
    throw new BuildStateError(build.status, `The build is already ${build.status}. ${FOLLOW_UP}`);
  }
  if (build.cancelRequestedAt) throw new BuildStateError(build.status, 'The build is being cancelled.');
  // A build that is rescued while it publishes begins again with the first phase, and never with its agent.
  if (build.pushIntentSha || !['QUEUED', 'PREPARING', 'AGENT'].includes(build.phase)) {
    throw new BuildStateError(build.status, `The agent has finished: the build is ${build.phase}. ${FOLLOW_UP}`);
  }
}

async function refuseTooMany(trx: DatabaseTransaction, build: Build): Promise<void> {
  const { count } = await trx
    .selectFrom('build_messages')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('build_id', '=', build.id)
    .executeTakeFirstOrThrow();
  if (count < MAX_MESSAGES) return;
  throw new BuildStateError(build.status, `The build has had ${MAX_MESSAGES} messages, which is all that it may have.`);
}

async function findSame(
  trx: DatabaseTransaction,
  key: { readonly buildId: string; readonly idempotencyKey: string },
): Promise<BuildMessage | null> {
  const row = await trx
    .selectFrom('build_messages')
    .selectAll()
    .where('build_id', '=', key.buildId)
    .where('idempotency_key', '=', key.idempotencyKey)
    .executeTakeFirst();
  return row ? toBuildMessage(row) : null;
}
