/** Talking to a running build: telling its agent something, and answering what it asks. */
import { answerQuestion, decideQuestion } from '../src/builds/answer-question.ts';
import { MAX_MESSAGES } from '../src/builds/build-message.ts';
import type { BuildQuestion } from '../src/builds/build-question.ts';
import { type SentMessage, sendMessage } from '../src/builds/send-message.ts';
import { BuildStateError, IdempotencyConflictError, InvalidInputError, NotFoundError } from '../src/errors.ts';
import { builder } from './builder.ts';
import { requireBuildId, requireQuestionId } from './ids.ts';
import { BuildMessageRef, BuildQuestionRef } from './refs.ts';
import { BuildMessageModeEnum } from './vocabulary.ts';

const SendBuildMessageInput = builder.inputType('SendBuildMessageInput', {
  description: 'What to tell the agent of a build.',
  fields: (t) => ({
    buildId: t.id({ required: true, description: 'The build, whose agent has not finished.' }),
    text: t.string({
      required: true,
      description: `What to tell it, at most 64 KiB. A build takes ${MAX_MESSAGES} messages.`,
    }),
    mode: t.field({
      type: BuildMessageModeEnum,
      required: true,
      defaultValue: 'QUEUE',
      description: 'When. An agent that does not listen within its turn is given a STEER when the turn has ended.',
    }),
    idempotencyKey: t.string({
      description:
        'Names this message, so that sending it again is safe: the same key, text and mode give the first one of the ' +
        'build. At most 255 printable characters.',
    }),
  }),
});

const AnswerBuildQuestionInput = builder.inputType('AnswerBuildQuestionInput', {
  description: 'The answer to what an agent asks.',
  fields: (t) => ({
    questionId: t.id({ required: true, description: 'The question: `question_…`, of kind QUESTION.' }),
    answers: t.field({
      type: t.listRef(t.listRef('String')),
      required: true,
      description:
        'For each of its `questions`, in order, the labels that were chosen, or something else in a text of at most ' +
        '16 KiB, 64 KiB in all. More than one only where `multiple` says so, at most 20.',
    }),
  }),
});

const NOTE = 'For the agent, at most 16 KiB.';

const ApproveBuildInput = builder.inputType('ApproveBuildInput', {
  description: 'Which use of a tool is allowed.',
  fields: (t) => ({
    questionId: t.id({ required: true, description: 'The question: `question_…`, of kind PERMISSION.' }),
    always: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Also the next times that the agent wants to use this tool, as far as it can remember that.',
    }),
    note: t.string({ description: NOTE }),
  }),
});

const RejectBuildInput = builder.inputType('RejectBuildInput', {
  description: 'Which use of a tool is refused.',
  fields: (t) => ({
    questionId: t.id({ required: true, description: 'The question: `question_…`, of kind PERMISSION.' }),
    note: t.string({ description: `Why not. ${NOTE}` }),
  }),
});

const SendBuildMessagePayload = builder.objectRef<SentMessage>('SendBuildMessagePayload').implement({
  description: 'The message is accepted: the agent is given it, or its state says that the build ended without it.',
  fields: (t) => ({
    // Not `message`: one document could not select it beside that of UserError.
    buildMessage: t.field({ type: BuildMessageRef, description: 'The message.', resolve: ({ message }) => message }),
    deduplicated: t.exposeBoolean('deduplicated', {
      description: 'It was there before: same key, same text and mode.',
    }),
  }),
});

const AnswerBuildQuestionPayload = builder.objectRef<BuildQuestion>('AnswerBuildQuestionPayload').implement({
  description: 'The answer is kept, and on its way to the agent.',
  fields: (t) => ({
    question: t.field({ type: BuildQuestionRef, description: 'As it is now.', resolve: (question) => question }),
  }),
});

const ApproveBuildPayload = builder.objectRef<BuildQuestion>('ApproveBuildPayload').implement({
  description: 'The decision is kept, and on its way to the agent.',
  fields: (t) => ({
    question: t.field({ type: BuildQuestionRef, description: 'As it is now.', resolve: (question) => question }),
  }),
});

const RejectBuildPayload = builder.objectRef<BuildQuestion>('RejectBuildPayload').implement({
  description: 'The decision is kept, and on its way to the agent.',
  fields: (t) => ({
    question: t.field({ type: BuildQuestionRef, description: 'As it is now.', resolve: (question) => question }),
  }),
});

builder.mutationFields((t) => ({
  sendBuildMessage: t.field({
    type: SendBuildMessagePayload,
    description: 'Tell the agent of a build something while it runs, or before it does.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError, NotFoundError, BuildStateError, IdempotencyConflictError] },
    args: { input: t.arg({ type: SendBuildMessageInput, required: true, description: 'What to tell it.' }) },
    resolve: async (_root, { input }, context) => {
      const buildId = await requireBuildId(context, input.buildId);
      return sendMessage(context.orchestrator, { ...input, buildId }, context.viewer.actor);
    },
  }),
  answerBuildQuestion: t.field({
    type: AnswerBuildQuestionPayload,
    description: 'Answer what an agent asks. The first answer counts.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError, NotFoundError, BuildStateError] },
    args: { input: t.arg({ type: AnswerBuildQuestionInput, required: true, description: 'The answer.' }) },
    resolve: async (_root, { input }, context) => {
      const questionId = await requireQuestionId(context, input.questionId);
      return answerQuestion(context.orchestrator, { ...input, questionId }, context.viewer.actor);
    },
  }),
  approveBuild: t.field({
    type: ApproveBuildPayload,
    description: 'Allow the tool that an agent wants to use. The first decision counts.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError, NotFoundError, BuildStateError] },
    args: { input: t.arg({ type: ApproveBuildInput, required: true, description: 'Which one.' }) },
    resolve: async (_root, { input }, context) => {
      const questionId = await requireQuestionId(context, input.questionId);
      return decideQuestion(context.orchestrator, { ...input, questionId, allow: true }, context.viewer.actor);
    },
  }),
  rejectBuild: t.field({
    type: RejectBuildPayload,
    description: 'Refuse the tool that an agent wants to use. The agent goes on without it.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError, NotFoundError, BuildStateError] },
    args: { input: t.arg({ type: RejectBuildInput, required: true, description: 'Which one, and why not.' }) },
    resolve: async (_root, { input }, context) => {
      const questionId = await requireQuestionId(context, input.questionId);
      return decideQuestion(context.orchestrator, { ...input, questionId, allow: false }, context.viewer.actor);
    },
  }),
}));
