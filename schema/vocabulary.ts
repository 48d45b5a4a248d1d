/** The enums. */
import { FAILURE_REASONS, FAILURES, type FailureReason, type Publication } from '../src/builds/build-result.ts';
import type { BuildEventType } from '../src/events/event.ts';
import type { BuildPhase, BuildStatus, MessageMode, MessageState, QuestionState } from '../src/events/vocabulary.ts';
import type { TaskStatus } from '../src/tasks/task.ts';
import type { TaskEventType } from '../src/tasks/task-events.ts';
import { builder } from './builder.ts';

/** Enum values from a table of descriptions, which the compiler keeps complete. */
export function values<V extends string>(descriptions: Readonly<Record<V, string>>) {
  const entries = Object.entries<string>(descriptions).map(([value, description]) => [value, { value, description }]);
  return Object.fromEntries(entries) as { [K in V]: { value: K; description: string } };
}

export const BuildStatusEnum = builder.enumType('BuildStatus', {
  description: 'Where a build is in its life. Detail is in `phase`, `failure` and `waitingFor`.',
  values: values<BuildStatus>({
    PENDING: 'Accepted and waiting for a worker.',
    RUNNING: 'A worker has it.',
    COMPLETED: 'Ended well.',
    FAILED: 'Ended badly: see `failure`.',
    CANCELLED: 'Ended because somebody asked for it; every process is gone.',
  }),
});

export const BuildPhaseEnum = builder.enumType('BuildPhase', {
  description: 'What is being done for a build, in this order.',
  values: values<BuildPhase>({
    QUEUED: 'Nothing yet: exactly while the build is PENDING.',
    PREPARING: 'The workspace: clone or fetch, branch, template.',
    AGENT: 'The agent works.',
    VERIFYING: 'What the agent left is looked at: what changed, and whether it may be committed.',
    PUBLISHING: 'Commit, push, and proof that the remote has it.',
    COLLECTING: 'Declared files are kept as artifacts.',
    DONE: 'Finished.',
  }),
});

export const WaitingForEnum = builder.enumType('WaitingFor', {
  description: 'What a build cannot go on without.',
  values: values({
    INPUT: 'An answer to a question of the agent.',
    APPROVAL: 'Somebody who approves it.',
    QUOTA: "Room in the provider's limits.",
  }),
});

export const BuildMessageModeEnum = builder.enumType('BuildMessageMode', {
  description: 'When the agent is given a message.',
  values: values<MessageMode>({
    QUEUE: 'When its turn has ended, as the beginning of another one.',
    STEER: 'Within its turn, between two steps; when the turn has ended where it does not listen before.',
    INTERRUPT: 'At once: what it is doing is broken off, and it goes on with the message.',
  }),
});

export const BuildMessageStateEnum = builder.enumType('BuildMessageState', {
  description: 'What became of a message.',
  values: values<MessageState>({
    PENDING: 'The agent will be given it.',
    DELIVERED: 'The agent was given it.',
    UNDELIVERED: 'The build has ended without it.',
  }),
});

export const BuildQuestionStateEnum = builder.enumType('BuildQuestionState', {
  description: 'What became of a question, or of a request for permission.',
  values: values<QuestionState>({
    OPEN: 'The agent waits for people.',
    ANSWERED: 'Somebody answered it.',
    APPROVED: 'Somebody allowed it.',
    REJECTED: 'Somebody refused it.',
    EXPIRED: "Nobody answered in time: the agent was given the spec's default.",
    WITHDRAWN: 'The agent does not wait for an answer any more.',
  }),
});

export const BuildSourceEnum = builder.enumType('BuildSource', {
  description: 'What started a build.',
  values: values({
    API: 'startBuild or createAndBuild.',
    RETRY: 'retryBuild.',
    WEBHOOK: 'A push to the repository.',
    SCHEDULE: 'A schedule of the project.',
    WORKFLOW: 'A step of a workflow.',
  }),
});

export const PublicationEnum = builder.enumType('Publication', {
  description: 'What became of the changes.',
  values: values<Publication>({
    PUSHED: 'Committed, pushed, and proved to be on the remote.',
    COMMITTED: 'Committed and not pushed, because `autoPush` is false.',
    NO_CHANGES: 'The agent changed nothing.',
    NONE: 'Nothing was committed.',
  }),
});

export const FailureReasonEnum = builder.enumType('FailureReason', {
  description: 'Why a build failed. The set may grow: treat an unknown reason as not retryable.',
  values: values(
    Object.fromEntries(FAILURE_REASONS.map((reason) => [reason, FAILURES[reason].remedy])) as Record<
      FailureReason,
      string
    >,
  ),
});

export const BuildEventTypeEnum = builder.enumType('BuildEventType', {
  description: "Every kind of event. Milestones also appear in the project's activity.",
  values: values<BuildEventType>({
    QUEUED: 'Accepted. A milestone, and always the first event.',
    STARTED: 'A worker claimed it: once per attempt. A milestone.',
    PHASE_CHANGED: 'The next phase. A milestone.',
    PROGRESS: 'Slipway says what it is doing.',
    AGENT_STARTED: 'The agent runs.',
    AGENT_ACTIVITY: 'The agent said or did something.',
    USAGE_UPDATED: 'Tokens and cost so far.',
    WARNING: 'Something is odd and the build goes on.',
    GIT_COMMITTED: 'The changes are a commit. A milestone.',
    GIT_PUSHED: 'The commit is on the remote. A milestone.',
    ARTIFACT_CREATED: 'A file was kept. A milestone.',
    MESSAGE_SENT: 'Somebody told the agent something.',
    MESSAGE_DELIVERED: 'The agent was given it.',
    QUESTION_ASKED: 'The agent asks people, and waits. A milestone.',
    QUESTION_CLOSED: 'It does not wait for that any more. A milestone.',
    CANCEL_REQUESTED: 'Somebody asked for the end. A milestone.',
    RETRY_SCHEDULED: 'Back in the queue for another attempt. A milestone.',
    FINISHED: 'The end. A milestone, and always the last event.',
  }),
});

export const OrderDirectionEnum = builder.enumType('OrderDirection', {
  description: 'The order of a list.',
  values: values({ ASC: 'Oldest first.', DESC: 'Newest first.' }),
});

export const TaskStatusEnum = builder.enumType('TaskStatus', {
  description: 'Where a task is in its life.',
  values: values<TaskStatus>({
    PENDING: 'It waits for a worker, or for its time.',
    RUNNING: 'A worker has it.',
    COMPLETED: 'Its worker has completed it.',
    FAILED: 'It has failed for good: see `failure`, and requeueTask.',
    CANCELLED: 'Somebody asked for the end, and no worker has it.',
  }),
});

export const TaskEventTypeEnum = builder.enumType('TaskEventType', {
  description: 'What can happen to a task. The set may grow.',
  values: values<TaskEventType>({
    QUEUED: 'Accepted: always the first event.',
    CLAIMED: 'A worker has it: once per attempt.',
    PROGRESS: 'Its worker says how far it is.',
    RELEASED: 'Its worker gave it back.',
    RETRY_SCHEDULED: 'An attempt has failed, and there will be another one.',
    CANCEL_REQUESTED: 'Somebody asked for the end.',
    REQUEUED: 'Somebody gave it another round.',
    FINISHED: 'It is over, unless it is requeued.',
  }),
});
