/** What the agent of a build asks people. */
import { type BuildQuestion, MAX_QUESTIONS } from '../src/builds/build-question.ts';
import type { AgentQuestion, AgentRequest } from '../src/events/event.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import { DEFAULT_PAGE } from './limits.ts';
import { BuildQuestionRef, BuildRef } from './refs.ts';
import { BuildQuestionStateEnum, values } from './vocabulary.ts';

const KindEnum = builder.enumType('BuildQuestionKind', {
  description: 'What kind of answer an agent waits for.',
  values: values<AgentRequest['kind']>({
    QUESTION: 'It wants to know something: answerBuildQuestion.',
    PERMISSION: 'It wants to use a tool: approveBuild, rejectBuild.',
  }),
});

const OptionRef = builder.objectRef<AgentQuestion['options'][number]>('AgentQuestionOption').implement({
  description: 'An answer to choose.',
  fields: (t) => ({
    label: t.exposeString('label', { description: 'The answer.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it means.' }),
  }),
});

const AgentQuestionRef = builder.objectRef<AgentQuestion>('AgentQuestion').implement({
  description: 'One thing that an agent wants to know.',
  fields: (t) => ({
    question: t.exposeString('question', { description: 'The question.' }),
    header: t.exposeString('header', { nullable: true, description: 'The same in a word or two.' }),
    options: t.field({
      type: [OptionRef],
      description: 'Answers to choose from, at most 20; anything else may be said, too.',
      complexity: EMBEDDED_LIST,
      resolve: ({ options }) => [...options],
    }),
    multiple: t.exposeBoolean('multiple', { description: 'More than one may be chosen.' }),
  }),
});

type RequestOf<K extends AgentRequest['kind']> = Extract<AgentRequest, { readonly kind: K }>;

function permissionOf({ request }: BuildQuestion): RequestOf<'PERMISSION'> | null {
  return request.kind === 'PERMISSION' ? request : null;
}

BuildQuestionRef.implement({
  description: 'Something that the agent of a build asks people, and waits for: a question, or a tool to allow.',
  fields: (t) => ({
    build: t.field({
      type: BuildRef,
      description: 'The build.',
      resolve: async ({ buildId }, _args, { loaders }) => {
        const build = await loaders.build.load(buildId);
        if (!build) throw new Error('a question that may be seen belongs to a build that may be seen');
        return build;
      },
    }),
    kind: t.field({ type: KindEnum, description: 'What it waits for.', resolve: ({ request }) => request.kind }),
    questions: t.field({
      type: [AgentQuestionRef],
      description: 'What it wants to know, at most 10; empty for a PERMISSION. Each wants an answer.',
      complexity: EMBEDDED_LIST,
      resolve: ({ request }) => (request.kind === 'QUESTION' ? [...request.questions] : []),
    }),
    tool: t.string({
      nullable: true,
      description: 'The tool that it wants to use; null for a QUESTION.',
      resolve: (question) => permissionOf(question)?.tool,
    }),
    input: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What the tool would be given; long texts are cut.',
      resolve: (question) => permissionOf(question)?.input,
    }),
    description: t.string({
      nullable: true,
      description: 'What it says of that; null where it says nothing, and for a QUESTION.',
      resolve: (question) => permissionOf(question)?.description,
    }),
    state: t.field({ type: BuildQuestionStateEnum, description: 'What became of it.', resolve: ({ state }) => state }),
    answers: t.field({
      type: t.listRef(t.listRef('String')),
      nullable: true,
      description:
        'What the agent was told, for each of `questions`; null for a PERMISSION, and where it was told none.',
      resolve: ({ answer }) => (answer?.type === 'answer' ? answer.answers?.map((chosen) => [...chosen]) : null),
    }),
    allowed: t.boolean({
      nullable: true,
      description: 'Whether the agent was told that it may; null while it is open, and for a QUESTION.',
      resolve: ({ answer }) => (answer?.type === 'decision' ? answer.allow : null),
    }),
    note: t.string({
      nullable: true,
      description: 'What the agent was told with the decision.',
      resolve: ({ answer }) => (answer?.type === 'decision' ? answer.message : null),
    }),
    askedAt: t.expose('askedAt', { type: 'DateTime', description: 'When it was asked.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: "When the agent is given the spec's default, if nobody has answered.",
    }),
    closedAt: t.expose('closedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was answered, or waited for no more; null while it is open.',
    }),
    closedBy: t.exposeString('closedBy', {
      nullable: true,
      description: 'Who answered: `token_…`; null where nobody did.',
    }),
  }),
});

builder.objectField(BuildRef, 'questions', (t) =>
  t.field({
    type: [BuildQuestionRef],
    description: `What its agent has asked people, in order: at most ${MAX_QUESTIONS}.`,
    // An agent waits for a few answers at a time.
    complexity: ({ state }) => ({ field: 1, multiplier: state === 'OPEN' ? 1 : DEFAULT_PAGE }),
    args: { state: t.arg({ type: BuildQuestionStateEnum, description: 'Only these.' }) },
    resolve: async ({ id }, { state }, { loaders }) => [
      ...(await loaders.questions.load({ parent: id, state: state ?? null })),
    ],
  }),
);
