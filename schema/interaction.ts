/** What a build's agent may ask people, as it is sent and as it is read. */
import type { BuildSpecInput, Interaction } from '../src/builds/build-spec.ts';
import { builder } from './builder.ts';
import { values } from './vocabulary.ts';

const DefaultDecisionEnum = builder.enumType('DefaultDecision', {
  description: 'What an agent is told when nobody says whether it may.',
  values: values<Interaction['defaultDecision']>({ APPROVE: 'It may.', REJECT: 'It may not.' }),
});

export const InteractionRef = builder.objectRef<Interaction>('Interaction').implement({
  description: 'What an agent may ask people while it runs, and what it is told when nobody answers.',
  fields: (t) => ({
    questions: t.exposeBoolean('questions', { description: 'It may ask questions.' }),
    approvals: t.exposeBoolean('approvals', { description: 'It asks before it uses a tool that can do harm.' }),
    waitSeconds: t.exposeInt('waitSeconds', { description: 'Seconds that each question waits.' }),
    defaultAnswer: t.exposeString('defaultAnswer', {
      nullable: true,
      description: 'The answer when nobody gives one; null: it is told that, and goes on as it sees fit.',
    }),
    defaultDecision: t.field({
      type: DefaultDecisionEnum,
      description: 'The decision when nobody makes one.',
      resolve: ({ defaultDecision }) => defaultDecision,
    }),
  }),
});

export const InteractionInput = builder
  .inputRef<NonNullable<BuildSpecInput['interaction']>>('InteractionInput')
  .implement({
    description:
      'What an agent may ask people while it runs, and what it is told when nobody answers. Needs an agent that can ask: ' +
      'see `AgentCapabilities`.',
    fields: (t) => ({
      questions: t.boolean({ description: 'It may ask questions: answerBuildQuestion. By default false.' }),
      approvals: t.boolean({
        description:
          'It asks before it runs commands, uses the network, or writes outside of the checkout: approveBuild, ' +
          'rejectBuild. By default false: what it may do is decided by rule.',
      }),
      waitSeconds: t.int({
        description: 'Seconds that each question waits: 1 to 86400, by default 1800. Meanwhile no other clock runs.',
      }),
      defaultAnswer: t.string({
        description:
          'The answer to every question that nobody answers, at most 16 KiB; by default the agent is told that nobody ' +
          'answered, and goes on as it sees fit.',
      }),
      defaultDecision: t.field({
        type: DefaultDecisionEnum,
        description: 'The decision when nobody makes one; by default REJECT.',
      }),
    }),
  });
