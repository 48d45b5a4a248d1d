/** Tasks as fragments, and the operations that the routes of work are. */
import { parse } from 'graphql';
import { REFUSED } from './build-documents.ts';

/** Without what may be long. */
const TASK = /* GraphQL */ `
  fragment Task on Task {
    id
    project { id slug }
    type
    status
    build { id }
    labels { key value }
    runsOn
    priority
    concurrencyKey
    retry { maxAttempts backoffSeconds maxBackoffSeconds }
    leaseSeconds
    readyAt
    attempt
    failures
    claimedBy
    leaseUntil
    progress
    failure { reason retryable }
    cancelRequestedAt
    cancelReason
    deadLetteredAt
    idempotencyKey
    requestedBy
    createdAt
    startedAt
    finishedAt
    waitingReason { code message }
  }
`;

export const ENQUEUE_TASK = parse(/* GraphQL */ `
  mutation EnqueueTask($input: EnqueueTaskInput!) {
    enqueueTask(input: $input) {
      ... on EnqueueTaskPayload { task { ...Task } deduplicated }
      ...Refused
    }
  }
  ${TASK} ${REFUSED}
`);

export const CLAIM_TASK = parse(/* GraphQL */ `
  mutation ClaimTask($input: ClaimTaskInput!) {
    claimTask(input: $input) {
      ... on ClaimTaskPayload { claims { leaseToken leaseUntil task { ...Task payload } } }
      ...Refused
    }
  }
  ${TASK} ${REFUSED}
`);

export const HEARTBEAT_TASK = parse(/* GraphQL */ `
  mutation HeartbeatTask($input: HeartbeatTaskInput!) {
    heartbeatTask(input: $input) {
      ... on HeartbeatTaskPayload { task { ...Task } leaseUntil cancelRequested }
      ...Refused
    }
  }
  ${TASK} ${REFUSED}
`);

export const COMPLETE_TASK = parse(/* GraphQL */ `
  mutation CompleteTask($input: CompleteTaskInput!) {
    completeTask(input: $input) {
      ... on CompleteTaskPayload { task { ...Task } }
      ...Refused
    }
  }
  ${TASK} ${REFUSED}
`);

export const FAIL_TASK = parse(/* GraphQL */ `
  mutation FailTask($input: FailTaskInput!) {
    failTask(input: $input) {
      ... on FailTaskPayload { task { ...Task } }
      ...Refused
    }
  }
  ${TASK} ${REFUSED}
`);

export const RELEASE_TASK = parse(/* GraphQL */ `
  mutation ReleaseTask($input: ReleaseTaskInput!) {
    releaseTask(input: $input) {
      ... on ReleaseTaskPayload { task { ...Task } }
      ...Refused
    }
  }
  ${TASK} ${REFUSED}
`);

export const GET_TASK = parse(/* GraphQL */ `
  query GetTask($id: ID!) {
    task(id: $id) { ...TaskStatus }
  }
  fragment TaskStatus on Task { ...Task payload result callbacks { id url status } }
  ${TASK}
`);

export const TASK_STATS = parse(/* GraphQL */ `
  query TaskStats($projectId: ID, $type: String) {
    taskStats(projectId: $projectId, type: $type) { ...TaskStats }
  }
  fragment TaskStats on TaskStats {
    waiting delayed running dead oldestReadyAt throughputPerMinute waitP50Ms waitP95Ms
  }
`);
