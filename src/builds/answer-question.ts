/** Answer what an agent asks. The answer is durable when this resolves; the agent has it as soon as its worker has. */
import { sql } from 'kysely';
import { z } from 'zod';
import { audit } from '../database/audit.ts';
import { inTransaction } from '../database/transaction.ts';
import { BuildStateError, InvalidInputError, inputIssues, NotFoundError } from '../errors.ts';
import { appendEvents } from '../events/append-events.ts';
import type { AgentRequest } from '../events/event.ts';
import { eventsTopic, projectTopic, workerTopic } from '../events/topics.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Answer, type BuildQuestion, closeQuestion, findQuestion, refreshWaiting } from './build-question.ts';
import { plainText } from './build-spec.ts';
import type { LedgerDeps } from './postgres-ledger.ts';
import { lockBuild } from './send-message.ts';

type AnswerDeps = Pick<LedgerDeps, 'db' | 'hub'>;

const MAX_ANSWER_BYTES = 16 * 1024;
/** Of all answers to one request: they are one line of the agent's inbox, as a message is. */
const MAX_ANSWERS_BYTES = 64 * 1024;
const MAX_CHOICES = 20;

const answersInput = z
  .array(
    z.array(plainText(MAX_ANSWER_BYTES).refine((text) => text.trim() !== '', 'must not be empty')).max(MAX_CHOICES),
  )
  .refine(
    (answers) => Buffer.byteLength(answers.flat().join('')) <= MAX_ANSWERS_BYTES,
    'must be at most 64 KiB in all',
  );
const noteInput = plainText(MAX_ANSWER_BYTES).nullish();

interface Reply {
  readonly questionId: string;
  readonly action: 'answerBuildQuestion' | 'approveBuild' | 'rejectBuild';
  readonly state: 'ANSWERED' | 'APPROVED' | 'REJECTED';
  /** Throws InvalidInputError where it does not fit what was asked. */
  readonly answerTo: (request: AgentRequest) => (requestId: string) => Answer;
}

/**
 * For each question, in order, what was chosen or said. Throws InvalidInputError, NotFoundError, or BuildStateError when
 * it was answered before or the agent waits no more.
 */
export async function answerQuestion(
  deps: AnswerDeps,
  input: { readonly questionId: string; readonly answers: readonly (readonly string[])[] },
  actor: string,
): Promise<BuildQuestion> {
  const parsed = answersInput.safeParse(input.answers);
  if (!parsed.success) throw new InvalidInputError(inputIssues(parsed.error, ['input', 'answers']));
  const answers = parsed.data;
  return reply(deps, actor, {
    questionId: input.questionId,
    action: 'answerBuildQuestion',
    state: 'ANSWERED',
    answerTo: (request) => {
      if (request.kind !== 'QUESTION') {
        throw refuse('questionId', 'is a request for permission: use approveBuild or rejectBuild');
      }
      const { questions } = request;
      if (answers.length !== questions.length) {
        throw refuse('answers', `must hold one list for each of the ${questions.length} questions`);
      }
      for (const [index, question] of questions.entries()) {
        const given = answers[index]?.length ?? 0;
        if (given === 0) throw refuse('answers', `must not be empty for question ${index + 1}`);
        if (given > 1 && !question.multiple) throw refuse('answers', `must be one for question ${index + 1}`);
      }
      return (id) => ({ type: 'answer', id, answers });
    },
  });
}

/**
 * Allows or refuses the use of a tool. `always`: also the next times that the agent wants to use it, as far as it can
 * remember that. `note` is for the agent. Throws as `answerQuestion` does.
 */
export async function decideQuestion(
  deps: AnswerDeps,
  input: {
    readonly questionId: string;
    readonly allow: boolean;
    readonly always?: boolean;
    readonly note?: string | null | undefined;
  },
  actor: string,
): Promise<BuildQuestion> {
  const parsed = noteInput.safeParse(input.note);
  if (!parsed.success) throw new InvalidInputError(inputIssues(parsed.error, ['input', 'note']));
  const { allow, always = false } = input;
  const message = parsed.data ?? null;
  return reply(deps, actor, {
    questionId: input.questionId,
    action: allow ? 'approveBuild' : 'rejectBuild',
    state: allow ? 'APPROVED' : 'REJECTED',
    answerTo: (request) => {
      if (request.kind !== 'PERMISSION') throw refuse('questionId', 'is a question: use answerBuildQuestion');
      return (id) => ({ type: 'decision', id, allow, always, message });
    },
  });
}

async function reply(deps: AnswerDeps, actor: string, { questionId, action, state, answerTo }: Reply) {
  const { build, question } = await inTransaction(deps.db, async (trx) => {
    const asked = await findQuestion(trx, questionId);
    if (!asked) throw new NotFoundError('question', toPublicId('question', questionId));
    const locked = await lockBuild(trx, asked.buildId);
    // Nobody closes it while we hold the build.
    const row = await trx
      .selectFrom('build_questions')
      .selectAll()
      .where('id', '=', questionId)
      .executeTakeFirstOrThrow();
    if (row.state !== 'OPEN') {
      const by = row.closed_by === null ? '' : ` by ${row.closed_by}`;
      throw new BuildStateError(locked.status, `The question is already ${row.state}${by}.`);
    }
    const answer = answerTo(asked.request)(row.request_id);
    const event = await closeQuestion(trx, questionId, { state, answer, closedBy: actor });
    await trx
      .updateTable('build_audit')
      .set({ talk_no: sql<number>`talk_no + 1` })
      .where('id', '=', locked.id)
      .execute();
    await refreshWaiting(trx, locked.id);
    await appendEvents(trx, { buildId: locked.id, attemptNo: null }, [event]);
    await audit(trx, {
      actor,
      action,
      subjectType: 'build',
      subjectId: locked.id,
      projectId: locked.projectId,
      detail: { questionId: toPublicId('question', questionId) },
    });
    await failpoint('talk.written');
    return { build: locked, question: await findQuestion(trx, questionId) };
  });
  await failpoint('talk.committed');
  deps.hub.announce(eventsTopic(build.id), projectTopic(build.projectId), workerTopic(build.id));
  if (!question) throw new NotFoundError('question', toPublicId('question', questionId));
  return question;
}

function refuse(field: string, message: string): InvalidInputError {
  return new InvalidInputError([{ path: ['input', field], message }]);
}
