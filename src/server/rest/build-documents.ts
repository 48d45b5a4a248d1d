/** The nouns of REST as fragments, and the operations that its routes are. */
import { parse } from 'graphql';

/** What refuses a mutation: see `Refusal.ofUserError`. */
export const REFUSED = /* GraphQL */ `
  fragment Refused on UserError {
    __typename
    code
    message
    ... on InvalidInputError { issues { path message } }
    ... on IdempotencyConflictError { existing { id } }
    ... on BuildStateError { status }
    ... on BudgetExceededError { resetsAt }
  }
`;

const USAGE = /* GraphQL */ `
  fragment Usage on Usage {
    inputTokens
    outputTokens
    cacheReadTokens
    cacheWriteTokens
    costUsd
    turns
    models { model inputTokens outputTokens cacheReadTokens cacheWriteTokens costUsd }
  }
`;

/** What a list has of each build: nothing that may be megabytes long. */
const SUMMARY = /* GraphQL */ `
  fragment BuildSummary on Build {
    id
    number
    project { id slug }
    status
    phase
    waitingFor
    resumeAt
    source
    priority
    createdAt
    startedAt
    finishedAt
    durationMs
    queuedMs
    requestedBy
    attempt
    retryOf { id }
    failure { reason phase message retryable remedy }
    usage { ...Usage }
    cancelRequestedAt
    cancelReason
    idempotencyKey
    lastEventCursor
  }
  ${USAGE}
`;

const BUILD = /* GraphQL */ `
  fragment Build on Build {
    ...BuildSummary
    traceId
    waitingReason { code message }
    queuePosition
    estimatedStartAt
    supersededBy { id }
    schedule { id name }
    scheduledFor
    worker { id name }
    callbacks { id url status }
    spec {
      prompt
      template
      variables { name value }
      autoCommit
      autoPush
      callbackUrl
      provider
      model
      branch
      priority
      labels { key value }
      limits { wallSeconds silenceSeconds lingerSeconds maxRetries maxTurns maxTokens maxCostUsd }
      network { access hosts }
      interaction { questions approvals waitSeconds defaultAnswer defaultDecision }
      runAfter
      resumeSessionOf
      runsOn
      concurrencyKey
      supersede { by policy }
    }
    result {
      success
      output
      publication
      commitSha
      commitUrl
      branch
      filesChanged { path previousPath status additions deletions }
      durationMs
      artifacts { id name contentType sizeBytes sha256 }
      usage { ...Usage }
      sessionId
    }
  }
  ${SUMMARY}
`;

const EVENT = /* GraphQL */ `
  fragment BuildEvent on BuildEvent {
    cursor
    type
    at
    attempt
    ... on BuildQueued { runAfter retryOf { id } }
    ... on BuildStarted { workerName }
    ... on BuildPhaseChanged { from to }
    ... on BuildProgressed { message }
    ... on AgentStarted { provider model sessionId agentVersion }
    ... on AgentActivity {
      content {
        kind: __typename
        ... on AgentMessage { text }
        ... on AgentThought { text }
        ... on AgentToolCall { callId tool input }
        ... on AgentToolResult { callId status output truncated }
        ... on AgentRetry { reason message }
      }
    }
    ... on UsageUpdated { usage { ...Usage } }
    ... on BuildWarning { message }
    ... on GitCommitted { sha message filesChanged }
    ... on GitPushed { sha ref }
    ... on ArtifactCreated { name sizeBytes }
    ... on BuildMessageSent { messageId mode text sentBy }
    ... on BuildMessageDelivered { messageId deliveredAs }
    ... on BuildQuestionAsked { questionId expiresAt }
    ... on BuildQuestionClosed { questionId state closedBy }
    ... on CancelRequested { cancelReason: reason requestedBy }
    ... on BuildRetryScheduled { retryReason: reason message resumeAt }
    ... on BuildFinished { status failureReason: reason failureMessage: message }
  }
  ${USAGE}
`;

export const START_BUILD = parse(/* GraphQL */ `
  mutation StartBuild($input: StartBuildInput!) {
    startBuild(input: $input) {
      ... on StartBuildPayload { build { ...Build } deduplicated }
      ...Refused
    }
  }
  ${BUILD} ${REFUSED}
`);

export const CREATE_AND_BUILD = parse(/* GraphQL */ `
  mutation CreateAndBuild($input: CreateAndBuildInput!) {
    createAndBuild(input: $input) {
      ... on CreateAndBuildPayload { project { ...Project } build { ...Build } deduplicated callbackSecret }
      ...Refused
    }
  }
  fragment Project on Project { id slug name status repositoryUrl defaultBranch template createdAt }
  ${BUILD} ${REFUSED}
`);

export const CANCEL_BUILD = parse(/* GraphQL */ `
  mutation CancelBuild($input: CancelBuildInput!) {
    cancelBuild(input: $input) {
      ... on CancelBuildPayload { build { ...Build } }
      ...Refused
    }
  }
  ${BUILD} ${REFUSED}
`);

export const RETRY_BUILD = parse(/* GraphQL */ `
  mutation RetryBuild($input: RetryBuildInput!) {
    retryBuild(input: $input) {
      ... on RetryBuildPayload { build { ...Build } deduplicated }
      ...Refused
    }
  }
  ${BUILD} ${REFUSED}
`);

export const GET_BUILD = parse(/* GraphQL */ `
  query GetBuild($id: ID!) {
    build(id: $id) { ...Build }
  }
  ${BUILD}
`);

export const LIST_BUILDS = parse(/* GraphQL */ `
  query ListBuilds(
    $id: ID!, $filter: BuildFilter, $orderBy: BuildOrder, $first: Int, $last: Int, $after: String, $before: String
  ) {
    project(id: $id) {
      page: builds(filter: $filter, orderBy: $orderBy, first: $first, last: $last, after: $after, before: $before) {
        builds: nodes { ...BuildSummary }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
  ${SUMMARY}
`);

export const LIST_EVENTS = parse(/* GraphQL */ `
  query ListEvents($id: ID!, $first: Int, $after: String) {
    build(id: $id) {
      page: events(first: $first, after: $after) {
        events: nodes { ...BuildEvent }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
  ${EVENT}
`);
