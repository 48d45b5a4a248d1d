/** One type for every kind of event, and the history of a build. */
import type { BuildQuestion } from '../src/builds/build-question.ts';
import type { BuildEvent, BuildEventType } from '../src/events/event.ts';
import { toPublicId } from '../src/std/public-id.ts';
import { AgentActivityContentRef } from './agent-activity.ts';
import { resultOf } from './build-document.ts';
import { BuildResultRef, UsageRef } from './build-result.ts';
import { builder, pageComplexity } from './builder.ts';
import type { Loaders } from './loaders.ts';
import { NUMBER_CURSOR, pageRequest, toConnection } from './pagination.ts';
import { ArtifactRef, BuildEventRef, BuildQuestionRef, BuildRef, WorkerRef } from './refs.ts';
import {
  BuildEventTypeEnum,
  BuildMessageModeEnum,
  BuildPhaseEnum,
  BuildQuestionStateEnum,
  BuildStatusEnum,
} from './vocabulary.ts';

type EventOf<T extends BuildEventType> = Extract<BuildEvent, { readonly type: T }>;

/** Event type -> GraphQL type; the compiler keeps it complete. */
const TYPE_NAMES: Readonly<Record<BuildEventType, string>> = {
  QUEUED: 'BuildQueued',
  STARTED: 'BuildStarted',
  PHASE_CHANGED: 'BuildPhaseChanged',
  PROGRESS: 'BuildProgressed',
  AGENT_STARTED: 'AgentStarted',
  AGENT_ACTIVITY: 'AgentActivity',
  USAGE_UPDATED: 'UsageUpdated',
  WARNING: 'BuildWarning',
  GIT_COMMITTED: 'GitCommitted',
  GIT_PUSHED: 'GitPushed',
  ARTIFACT_CREATED: 'ArtifactCreated',
  MESSAGE_SENT: 'BuildMessageSent',
  MESSAGE_DELIVERED: 'BuildMessageDelivered',
  QUESTION_ASKED: 'BuildQuestionAsked',
  QUESTION_CLOSED: 'BuildQuestionClosed',
  CANCEL_REQUESTED: 'CancelRequested',
  RETRY_SCHEDULED: 'BuildRetryScheduled',
  FINISHED: 'BuildFinished',
};

BuildEventRef.implement({
  description: 'One fact about a build. Events are numbered 1, 2, 3 … per build, without gaps.',
  resolveType: (event) => TYPE_NAMES[event.type],
  fields: (t) => ({
    cursor: t.string({
      description: "The event's number: for `after` of buildProgress and of Build.events.",
      resolve: (event) => String(event.seq),
    }),
    type: t.field({ type: BuildEventTypeEnum, description: 'Its kind.', resolve: (event) => event.type }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was stored.' }),
    attempt: t.exposeInt('attemptNo', { description: 'The attempt that it belongs to; 0 before the first.' }),
    build: t.field({
      type: BuildRef,
      description: 'The build, as it is when this is answered.',
      resolve: async ({ buildId }, _args, { loaders }) => {
        const build = await loaders.build.load(buildId);
        if (!build) throw new Error('an event that may be seen belongs to a build that may be seen');
        return build;
      },
    }),
  }),
});

function eventRef<T extends BuildEventType>(type: T) {
  return builder.objectRef<EventOf<T>>(TYPE_NAMES[type]);
}

eventRef('QUEUED').implement({
  description: 'The build was accepted. Always the first event.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    runAfter: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'It does not start before this.',
      resolve: ({ data }) => (data.runAfter === null ? null : new Date(data.runAfter)),
    }),
    retryOf: t.field({
      type: BuildRef,
      nullable: true,
      description: 'The build that it repeats.',
      resolve: ({ data }, _args, { loaders }) => (data.retryOf === null ? null : loaders.build.load(data.retryOf)),
    }),
  }),
});

eventRef('STARTED').implement({
  description: 'A worker claimed the build: once per attempt.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    workerName: t.string({ description: "The worker's name.", resolve: ({ data }) => data.workerName }),
    worker: t.field({
      type: WorkerRef,
      nullable: true,
      description: 'The worker.',
      resolve: ({ data }, _args, { loaders }) => loaders.worker.load(data.workerId),
    }),
  }),
});

eventRef('PHASE_CHANGED').implement({
  description: 'The next phase began.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    from: t.field({ type: BuildPhaseEnum, description: 'The phase before.', resolve: ({ data }) => data.from }),
    to: t.field({ type: BuildPhaseEnum, description: 'The phase now.', resolve: ({ data }) => data.to }),
  }),
});

eventRef('PROGRESS').implement({
  description: 'Slipway says what it is doing.',
  interfaces: [BuildEventRef],
  fields: (t) => ({ message: t.string({ description: 'For people.', resolve: ({ data }) => data.message }) }),
});

eventRef('AGENT_STARTED').implement({
  description: 'The agent runs.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    provider: t.string({ description: 'Which agent.', resolve: ({ data }) => data.provider }),
    model: t.string({ nullable: true, description: 'Which model, as it says.', resolve: ({ data }) => data.model }),
    sessionId: t.string({ nullable: true, description: 'Its session.', resolve: ({ data }) => data.sessionId }),
    agentVersion: t.string({ nullable: true, description: 'Its version.', resolve: ({ data }) => data.agentVersion }),
  }),
});

eventRef('AGENT_ACTIVITY').implement({
  description: 'The agent said or did something.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    content: t.field({
      type: AgentActivityContentRef,
      description: 'What.',
      resolve: ({ data }) => data.content,
    }),
  }),
});

eventRef('USAGE_UPDATED').implement({
  description: 'What the build has used so far.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    usage: t.field({ type: UsageRef, description: 'Tokens and money.', resolve: ({ data }) => data.usage }),
  }),
});

eventRef('WARNING').implement({
  description: 'Something is odd and the build goes on.',
  interfaces: [BuildEventRef],
  fields: (t) => ({ message: t.string({ description: 'What is odd.', resolve: ({ data }) => data.message }) }),
});

eventRef('GIT_COMMITTED').implement({
  description: 'The changes are a commit.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    sha: t.string({ description: 'Its id.', resolve: ({ data }) => data.sha }),
    message: t.string({ description: 'Its message.', resolve: ({ data }) => data.message }),
    filesChanged: t.int({ description: 'How many files it changes.', resolve: ({ data }) => data.filesChanged }),
  }),
});

eventRef('GIT_PUSHED').implement({
  description: 'The commit is on the remote.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    sha: t.string({ description: "The commit's id.", resolve: ({ data }) => data.sha }),
    ref: t.string({ description: 'Where: `refs/heads/…`.', resolve: ({ data }) => data.ref }),
  }),
});

eventRef('ARTIFACT_CREATED').implement({
  description: 'A file was kept.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    name: t.string({ description: 'Its path in the checkout.', resolve: ({ data }) => data.name }),
    sizeBytes: t.field({ type: 'SafeInt', description: 'Bytes.', resolve: ({ data }) => data.sizeBytes }),
    artifact: t.field({
      type: ArtifactRef,
      nullable: true,
      description: 'The artifact; null when it was deleted since.',
      resolve: ({ data }, _args, { loaders }) => loaders.artifact.load(data.artifactId),
    }),
  }),
});

eventRef('MESSAGE_SENT').implement({
  description: 'Somebody told the agent something.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: ({ data }) => toPublicId('message', data.messageId) }),
    mode: t.field({
      type: BuildMessageModeEnum,
      description: 'When it is meant for.',
      resolve: ({ data }) => data.mode,
    }),
    text: t.string({
      description: 'Cut to 16384 characters; the message has all of it.',
      resolve: ({ data }) => data.text,
    }),
    sentBy: t.string({ description: 'Who: `token_…`.', resolve: ({ data }) => data.sentBy }),
  }),
});

eventRef('MESSAGE_DELIVERED').implement({
  description: 'The agent was given a message.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    messageId: t.id({ description: 'The message.', resolve: ({ data }) => toPublicId('message', data.messageId) }),
    deliveredAs: t.field({
      type: BuildMessageModeEnum,
      description: 'How, which may be later than it was meant.',
      resolve: ({ data }) => data.as,
    }),
  }),
});

eventRef('QUESTION_ASKED').implement({
  description: 'The agent asks people, and waits.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    questionId: t.id({ description: 'The question.', resolve: ({ data }) => toPublicId('question', data.questionId) }),
    expiresAt: t.field({
      type: 'DateTime',
      description: "When the agent is given the spec's default, if nobody has answered.",
      resolve: ({ data }) => new Date(data.expiresAt),
    }),
    question: t.field({
      type: BuildQuestionRef,
      description: 'The question, as it is when this is answered.',
      resolve: ({ data }, _args, { loaders }) => questionOf(loaders, data.questionId),
    }),
  }),
});

eventRef('QUESTION_CLOSED').implement({
  description: 'The agent does not wait for an answer any more.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    questionId: t.id({ description: 'The question.', resolve: ({ data }) => toPublicId('question', data.questionId) }),
    state: t.field({
      type: BuildQuestionStateEnum,
      description: 'What became of it; never OPEN.',
      resolve: ({ data }) => data.state,
    }),
    closedBy: t.string({
      nullable: true,
      description: 'Who answered: `token_…`; null where nobody did.',
      resolve: ({ data }) => data.closedBy,
    }),
    question: t.field({
      type: BuildQuestionRef,
      description: 'The question, with the answer.',
      resolve: ({ data }, _args, { loaders }) => questionOf(loaders, data.questionId),
    }),
  }),
});

async function questionOf({ question }: Loaders, id: string): Promise<BuildQuestion> {
  const found = await question.load(id);
  if (!found) throw new Error('an event that may be seen is about a question that may be seen');
  return found;
}

eventRef('CANCEL_REQUESTED').implement({
  description: 'Somebody asked for the end.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    reason: t.string({ nullable: true, description: 'Why, as they say.', resolve: ({ data }) => data.reason }),
    requestedBy: t.string({ description: 'Who: `token_…`.', resolve: ({ data }) => data.requestedBy }),
  }),
});

eventRef('RETRY_SCHEDULED').implement({
  description: 'The build is back in the queue for another attempt.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    reason: t.string({
      description: 'For programs: `WORKER_LOST`, `WORKSPACE_LOST`, `DRAIN`, `QUOTA`.',
      resolve: ({ data }) => data.reason,
    }),
    message: t.string({ description: 'For people.', resolve: ({ data }) => data.message }),
    resumeAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'It waits until then; null when it goes on as soon as a worker has room.',
      resolve: ({ data }) => (data.resumeAt === undefined ? null : new Date(data.resumeAt)),
    }),
  }),
});

eventRef('FINISHED').implement({
  description: 'The end. Always the last event; a stream that ends without it was cut.',
  interfaces: [BuildEventRef],
  fields: (t) => ({
    status: t.field({ type: BuildStatusEnum, description: 'How it ended.', resolve: ({ data }) => data.status }),
    reason: t.string({
      nullable: true,
      description: 'The FailureReason; null when it did not fail.',
      resolve: ({ data }) => data.reason,
    }),
    message: t.string({ nullable: true, description: 'For people.', resolve: ({ data }) => data.message }),
    result: t.field({
      type: BuildResultRef,
      nullable: true,
      description: 'The whole result.',
      resolve: ({ buildId }, _args, { loaders }) => resultOf(loaders, buildId),
    }),
  }),
});

builder.objectField(BuildRef, 'events', (t) =>
  t.connection(
    {
      type: BuildEventRef,
      description: 'What has happened, in order. The cursors are those of buildProgress.',
      complexity: pageComplexity,
      args: { types: t.arg({ type: [BuildEventTypeEnum], description: 'Only these kinds.' }) },
      resolve: async ({ id }, args, { loaders }) => {
        const request = pageRequest(args, NUMBER_CURSOR, 'asc');
        const query = args.types ?? null;
        const rows = await loaders.events.load({ parent: id, query, keyset: request.keyset });
        return toConnection(request, rows, (event) => event.seq);
      },
    },
    { name: 'BuildEventConnection', description: 'One page of events.' },
    { name: 'BuildEventEdge', description: 'An event in a list.' },
  ),
);
