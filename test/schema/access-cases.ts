/** Every root field of the API with who may use it, and an operation on what is ours that changes nothing. */
import type { Scope } from '../../src/auth/scope.ts';
import type { World } from './access-world.ts';
import { TASK_CASES } from './task-access-cases.ts';

export interface AccessCase {
  /** Of the schema: `query build`. */
  readonly field: string;
  /** A token needs all of them. */
  readonly needs: readonly Scope[];
  /**
   * `project`: a token of another project gets what somebody gets who asks for what is not there. `unlimited`: a token that
   * is limited to projects is refused. `everyone`: it belongs to no project.
   */
  readonly reach: 'project' | 'unlimited' | 'everyone';
  readonly source: (world: World) => string;
}

const read = { needs: ['builds:read'], reach: 'project' } as const;
const write = { needs: ['builds:write'], reach: 'project' } as const;
const change = { needs: ['projects:write'], reach: 'project' } as const;
const count = { needs: ['stats:read'], reach: 'project' } as const;
const rule = { needs: ['admin'], reach: 'unlimited' } as const;
const govern = { needs: ['workers'], reach: 'unlimited' } as const;

const mutation = (call: string) => `mutation { result: ${call} { __typename ... on UserError { code message } } }`;
const BUILD =
  'id number spec { prompt } project { id slug } messages { id text } questions { id questions { question } }';
const REGISTRY = 'registry: { url: "https://npm.example.com/", token: "short" }';

const QUERIES: readonly AccessCase[] = [
  { field: 'query viewer', needs: [], reach: 'everyone', source: () => '{ viewer { id } }' },
  // Without a server nothing is limited, and the field itself is null.
  { field: 'query rateLimit', needs: [], reach: 'everyone', source: () => '{ rateLimit { limit } viewer { id } }' },
  { field: 'query templates', ...read, reach: 'everyone', source: () => '{ templates { name } }' },
  {
    field: 'query workers',
    ...read,
    source: () => '{ workers { nodes { running currentBuilds { totalCount nodes { id } } } } }',
  },
  { field: 'query workers', ...read, reach: 'everyone', source: () => '{ workers { nodes { id capacity } } }' },
  {
    field: 'query worker',
    ...read,
    source: ({ worker }) => `{ worker(id: "${worker}") { running history { nodes { attemptNo build { id } } } } }`,
  },
  { field: 'query enrolmentTokens', ...govern, source: () => '{ enrolmentTokens { nodes { id } } viewer { id } }' },
  { field: 'query agents', ...read, reach: 'everyone', source: () => '{ agents { name } }' },
  { field: 'query node', ...read, source: ({ ours }) => `{ node(id: "${ours.finished}") { id } }` },
  {
    field: 'query nodes',
    ...read,
    source: ({ ours: { project, finished, artifact, delivery, message, question } }) =>
      `{ nodes(ids: ["${project}", "${finished}", "${artifact}", "${delivery}", "${message}", "${question}"]) { id } }`,
  },
  { field: 'query build', ...read, source: ({ ours }) => `{ build(id: "${ours.running}") { ${BUILD} } }` },
  {
    field: 'query buildByIdempotencyKey',
    ...read,
    source: ({ ours }) => `{ buildByIdempotencyKey(projectId: "${ours.project}", key: "finished") { ${BUILD} } }`,
  },
  { field: 'query builds', ...read, source: () => `{ builds { totalCount nodes { ${BUILD} } } }` },
  {
    field: 'query builds',
    ...read,
    source: ({ ours }) => `{ builds(filter: { projectId: "${ours.project}" }) { totalCount nodes { ${BUILD} } } }`,
  },
  {
    field: 'query schedule',
    ...read,
    source: ({ ours }) => `{ schedule(id: "${ours.schedule}") { id name spec project { slug } } }`,
  },
  { field: 'query project', ...read, source: ({ ours }) => `{ project(id: "${ours.project}") { id name } }` },
  { field: 'query project', ...read, source: ({ ours }) => `{ project(slug: "${ours.slug}") { id name } }` },
  { field: 'query projects', ...read, source: () => '{ projects { totalCount nodes { id name slug } } }' },
  {
    field: 'query validateBuild',
    ...read,
    source: ({ ours }) => `{ validateBuild(projectId: "${ours.project}", spec: { prompt: "x" }) { ready } }`,
  },
  { field: 'query buildStats', ...count, source: () => '{ buildStats { total series(bucket: WEEK) { total } } }' },
  {
    field: 'query buildStats',
    ...count,
    source: ({ ours }) => `{ buildStats(filter: { projectId: "${ours.project}" }) { total running } }`,
  },
  {
    field: 'query queueStats',
    ...count,
    source: () =>
      '{ queueStats { waiting scheduled running oldestQueuedAt throughputPerMinute averageWaitMs byReason { count } } }',
  },
  {
    field: 'query queueStats',
    ...count,
    source: ({ ours }) =>
      `{ queueStats(filter: { projectId: "${ours.project}" }) { running byProject { projectId running } } }`,
  },
  { field: 'query queue', ...read, reach: 'everyone', source: () => '{ queue { pausedAt maxRunning } viewer { id } }' },
  { field: 'query apiTokens', ...rule, source: () => '{ apiTokens(includeRevoked: true) { nodes { id name } } }' },
  { field: 'query credentials', ...rule, source: () => '{ credentials { id } viewer { id } }' },
  {
    field: 'query auditLog',
    needs: ['admin'],
    reach: 'project',
    source: () => '{ auditLog { nodes { id action subjectId project { id name } detail } } }',
  },
  {
    field: 'query auditLog',
    needs: ['admin'],
    reach: 'project',
    source: ({ ours }) => `{ auditLog(filter: { subjectId: "${ours.finished}" }) { nodes { id action } } }`,
  },
];

const MUTATIONS: readonly AccessCase[] = [
  {
    field: 'mutation startBuild',
    ...write,
    source: ({ ours }) => mutation(`startBuild(input: { projectId: "${ours.project}", spec: { prompt: "" } })`),
  },
  {
    field: 'mutation cancelBuild',
    ...write,
    source: ({ ours }) => mutation(`cancelBuild(input: { id: "${ours.finished}" })`),
  },
  {
    field: 'mutation retryBuild',
    ...write,
    source: ({ ours }) => mutation(`retryBuild(input: { id: "${ours.running}" })`),
  },
  {
    field: 'mutation cancelBuilds',
    ...write,
    source: ({
      ours,
    }) => `mutation { result: cancelBuilds(input: { filter: { projectId: "${ours.project}" }, dryRun: true }) {
      ... on CancelBuildsPayload { matched ids } } }`,
  },
  {
    field: 'mutation retryBuilds',
    ...write,
    source: () => `mutation { result: retryBuilds(input: { filter: { status: [COMPLETED] }, dryRun: true }) {
      ... on RetryBuildsPayload { matched ids } } }`,
  },
  {
    field: 'mutation redeliverCallback',
    ...write,
    source: ({ ours }) => mutation(`redeliverCallback(input: { buildId: "${ours.finished}" })`),
  },
  {
    field: 'mutation sendBuildMessage',
    ...write,
    source: ({ ours }) => mutation(`sendBuildMessage(input: { buildId: "${ours.running}", text: "" })`),
  },
  {
    field: 'mutation answerBuildQuestion',
    ...write,
    source: ({ ours }) => mutation(`answerBuildQuestion(input: { questionId: "${ours.question}", answers: [] })`),
  },
  {
    field: 'mutation approveBuild',
    ...write,
    source: ({ ours }) => mutation(`approveBuild(input: { questionId: "${ours.question}" })`),
  },
  {
    field: 'mutation rejectBuild',
    ...write,
    source: ({ ours }) => mutation(`rejectBuild(input: { questionId: "${ours.question}" })`),
  },
  {
    field: 'mutation updateProject',
    ...change,
    source: ({ ours }) => mutation(`updateProject(input: { id: "${ours.project}", name: "" })`),
  },
  {
    field: 'mutation archiveProject',
    ...change,
    source: ({ ours }) => mutation(`archiveProject(input: { id: "${ours.archived}" })`),
  },
  {
    field: 'mutation createSchedule',
    ...change,
    needs: ['projects:write', 'builds:write'],
    source: ({ ours }) =>
      mutation(`createSchedule(input: { projectId: "${ours.project}", name: "", cron: "", spec: { prompt: "" } })`),
  },
  {
    field: 'mutation updateSchedule',
    ...change,
    needs: ['projects:write', 'builds:write'],
    source: ({ ours }) => mutation(`updateSchedule(input: { id: "${ours.schedule}", cron: "" })`),
  },
  {
    field: 'mutation pauseSchedule',
    ...change,
    source: ({ ours }) => mutation(`pauseSchedule(input: { id: "${ours.schedule}", reason: "${'x'.repeat(1_001)}" })`),
  },
  {
    field: 'mutation resumeSchedule',
    ...change,
    source: ({ ours }) => mutation(`resumeSchedule(input: { id: "${ours.schedule}" })`),
  },
  {
    field: 'mutation deleteSchedule',
    ...change,
    // The world keeps its schedules.
    source: ({ ours }) => mutation(`deleteSchedule(input: { id: "${ours.schedule}" })`),
  },
  {
    field: 'mutation pauseProject',
    ...change,
    source: ({ ours }) => mutation(`pauseProject(input: { id: "${ours.archived}" })`),
  },
  {
    field: 'mutation resumeProject',
    ...change,
    source: ({ ours }) => mutation(`resumeProject(input: { id: "${ours.archived}" })`),
  },
  {
    field: 'mutation setKeyLimit',
    ...change,
    source: ({ ours }) => mutation(`setKeyLimit(input: { projectId: "${ours.project}", key: "" })`),
  },
  { field: 'mutation updateQueue', ...rule, source: () => mutation('updateQueue(input: { maxRunning: -1 })') },
  {
    field: 'mutation setBuildPriority',
    ...write,
    source: ({ ours }) => mutation(`setBuildPriority(input: { id: "${ours.finished}", priority: 1 })`),
  },
  {
    field: 'mutation setCredentialLimit',
    ...change,
    source: ({ ours }) => mutation(`setCredentialLimit(input: { projectId: "${ours.project}", name: "" })`),
  },
  {
    field: 'mutation setCredentialLimit',
    ...rule,
    source: () => mutation('setCredentialLimit(input: { name: "" })'),
  },
  {
    field: 'mutation setCredential',
    ...change,
    source: ({ ours }) => mutation(`setCredential(input: { projectId: "${ours.project}", name: "", ${REGISTRY} })`),
  },
  {
    field: 'mutation deleteCredential',
    ...change,
    source: ({ ours }) => mutation(`deleteCredential(input: { projectId: "${ours.project}", name: "" })`),
  },
  { field: 'mutation deleteCredential', ...rule, source: () => mutation('deleteCredential(input: { name: "" })') },
  {
    field: 'mutation setCredential',
    ...rule,
    source: () => mutation(`setCredential(input: { name: "", ${REGISTRY} })`),
  },
  {
    field: 'mutation createProject',
    needs: ['projects:write'],
    reach: 'unlimited',
    source: () => mutation('createProject(input: { name: "" })'),
  },
  {
    field: 'mutation createAndBuild',
    needs: ['projects:write', 'builds:write'],
    reach: 'unlimited',
    source: () => mutation('createAndBuild(input: { project: { name: "" }, spec: { prompt: "" } })'),
  },
  {
    field: 'mutation createApiToken',
    ...rule,
    source: () => mutation('createApiToken(input: { name: "", scopes: [] })'),
  },
  {
    field: 'mutation rotateApiToken',
    ...rule,
    source: ({ revokedToken }) => mutation(`rotateApiToken(input: { id: "${revokedToken}" })`),
  },
  {
    field: 'mutation revokeApiToken',
    ...rule,
    source: ({ revokedToken }) => mutation(`revokeApiToken(input: { id: "${revokedToken}" })`),
  },
];

const onWorker = (name: string): AccessCase => ({
  field: `mutation ${name}`,
  ...govern,
  source: ({ worker }) => mutation(`${name}(input: { id: "${worker}" })`),
});

const WORKERS: readonly AccessCase[] = [
  onWorker('cordonWorker'),
  onWorker('uncordonWorker'),
  {
    field: 'mutation drainWorker',
    ...govern,
    source: ({ worker }) => mutation(`drainWorker(input: { id: "${worker}", graceSeconds: -1 })`),
  },
  {
    field: 'mutation evictWorker',
    ...govern,
    source: ({ idle }) => mutation(`evictWorker(input: { id: "${idle}" })`),
  },
  {
    field: 'mutation createEnrolmentToken',
    needs: ['workers', 'work'],
    reach: 'unlimited',
    source: () => mutation('createEnrolmentToken(input: { name: "" })'),
  },
  {
    field: 'mutation revokeEnrolmentToken',
    ...govern,
    source: ({ enrolment }) => mutation(`revokeEnrolmentToken(input: { id: "${enrolment}" })`),
  },
];

const SUBSCRIPTIONS: readonly AccessCase[] = [
  {
    field: 'subscription workerActivity',
    ...read,
    source: ({ worker }) =>
      `subscription { workerActivity(workerId: "${worker}") { running currentBuilds { nodes { id } } } }`,
  },
  {
    field: 'subscription buildProgress',
    ...read,
    source: ({ ours }) => `subscription { buildProgress(buildId: "${ours.running}") { cursor build { ${BUILD} } } }`,
  },
  {
    field: 'subscription buildLog',
    ...read,
    source: ({ ours }) => `subscription { buildLog(buildId: "${ours.finished}") { cursor lines { text } } }`,
  },
  {
    field: 'subscription queueActivity',
    ...count,
    source: ({ ours }) => `subscription { queueActivity(projectId: "${ours.project}") { waiting } }`,
  },
  {
    field: 'subscription projectActivity',
    ...read,
    source: ({ ours }) => `subscription { projectActivity(projectId: "${ours.project}") { cursor } }`,
  },
];

export const ACCESS_CASES = [...QUERIES, ...TASK_CASES, ...MUTATIONS, ...WORKERS, ...SUBSCRIPTIONS];

/** A field of a type that is not a root -> what a token needs beside what led there. */
export const NESTED_SCOPES: Readonly<Record<string, Scope>> = {
  'Project.builds': 'builds:read',
  'ProjectQueueFigures.project': 'builds:read',
  'Project.callbackSecret': 'projects:write',
  'Project.schedules': 'builds:read',
  'Project.spentToday': 'builds:read',
  'Project.credentials': 'projects:write',
  'Credential.project': 'builds:read',
  'Viewer.projects': 'builds:read',
};
