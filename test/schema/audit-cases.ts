/** Every mutation with an input that it accepts, and what there has to be before. */
import { v7 } from 'uuid';
import { createApiToken } from '../../src/auth/api-token.ts';
import { createEnrolment } from '../../src/auth/enrolment.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { setCredential } from '../../src/credentials/set-credential.ts';
import type { AgentRequest } from '../../src/events/event.ts';
import { pauseProject } from '../../src/queue/change-queue.ts';
import { createSchedule, pauseSchedule } from '../../src/schedules/change-schedule.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { cancelTask } from '../../src/tasks/change-task.ts';
import { enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { setTaskType } from '../../src/tasks/task-type.ts';
import { cordonWorker } from '../../src/workers/administer-worker.ts';
import { askByHand, question } from '../support/ask.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import type { TestStack } from '../support/orchestrator.ts';
import { finish } from './finish.ts';

async function newProject(stack: TestStack, { paused = false } = {}): Promise<string> {
  const { id } = await stack.createProject();
  if (paused) await pauseProject(stack.orchestrator, id, 'test');
  return toPublicId('project', id);
}

interface NewBuild {
  readonly build: string;
  readonly project: string;
}

async function newBuild(stack: TestStack, { finished = false } = {}): Promise<NewBuild> {
  const { id: projectId } = await stack.createProject();
  const spec = { prompt: 'work', callbackUrl: 'http://127.0.0.1:9/' };
  const { build } = await startBuild(stack.orchestrator, { projectId, spec }, 'test');
  if (finished) await finish(stack.orchestrator, build.id);
  return { build: toPublicId('build', build.id), project: toPublicId('project', projectId) };
}

async function newToken(stack: TestStack): Promise<string> {
  const rights = { scopes: ['builds:read'], projectIds: null, expiresAt: null, createdBy: 'test' } as const;
  return toPublicId('token', (await createApiToken(stack.orchestrator.db, { name: 'test', ...rights })).id);
}

async function newWorker(stack: TestStack, { cordoned = false } = {}): Promise<string> {
  const id = await registerByHand(stack, v7());
  if (cordoned) await cordonWorker(stack.orchestrator, id, 'test');
  return toPublicId('worker', id);
}

async function newEnrolment(stack: TestStack): Promise<string> {
  const input = { name: 'test', labels: null, projectIds: null, expiresInMinutes: 1 };
  const { enrolment } = await createEnrolment(stack.orchestrator.db, input, 'test');
  return toPublicId('enrolment', enrolment.id);
}

const SECRET = 'x'.repeat(20);
const REGISTRY = { registry: { url: 'https://npm.example.com/', token: SECRET } };
const MODEL_KEY = { modelApiKey: { variable: 'ANTHROPIC_API_KEY', key: SECRET } };

/** The project of a credential `mine`. */
async function newCredential(stack: TestStack, secret: typeof REGISTRY | typeof MODEL_KEY): Promise<string> {
  const { id: projectId } = await stack.createProject();
  const input = { projectId, name: 'mine', ...secret };
  const { orchestrator } = stack;
  await orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
  return toPublicId('project', projectId);
}

/** A question of a build that runs. */
async function newQuestion(stack: TestStack, request: AgentRequest): Promise<string> {
  const projectId = (await stack.createProject()).id;
  const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'work' } }, 'test');
  const claimed = await claimBuilds(stack.orchestrator, claimer(await registerByHand(stack)), 100);
  if (!claimed.some(({ id }) => id === build.id)) throw new Error('the build was not claimed');
  return toPublicId('question', await askByHand(stack, build.id, request));
}

const PERMISSION: AgentRequest = { kind: 'PERMISSION', tool: 'Bash', input: null, description: null };

async function newSchedule(stack: TestStack, { paused = false } = {}): Promise<string> {
  const { orchestrator } = stack;
  const { id: projectId } = await stack.createProject();
  const rule = { projectId, name: 'daily', cron: '@daily', spec: { prompt: 'work' } };
  const { id } = await createSchedule(orchestrator, rule, 'test');
  if (paused) await pauseSchedule(orchestrator, { id }, 'test');
  return toPublicId('schedule', id);
}

interface NewTaskType {
  /** UUID. */
  readonly projectId: string;
  readonly type: string;
}

async function newTaskType(stack: TestStack): Promise<NewTaskType> {
  const { id: projectId } = await stack.createProject();
  const type = `type-${v7()}`;
  await setTaskType(stack.orchestrator, { projectId, name: type, schema: {} }, 'test');
  return { projectId, type };
}

/** A task of a type of its own; without a pause between its attempts. */
export async function newTask(
  stack: TestStack,
  { cancelled = false } = {},
): Promise<{ readonly type: string; readonly task: string }> {
  const { orchestrator } = stack;
  const { projectId, type } = await newTaskType(stack);
  const input = { type, payload: {}, callbackUrl: 'http://127.0.0.1:9/', retry: { backoffSeconds: 0 } };
  const { task } = await enqueueTask(orchestrator, { projectId, task: input }, 'test');
  if (cancelled) await cancelTask(orchestrator, { id: task.id }, 'test');
  return { type, task: toPublicId('task', task.id) };
}

const ofType = ({ projectId, type }: NewTaskType) =>
  ({ project: `projectId: "${toPublicId('project', projectId)}"`, type: `"${type}"` }) as const;

/** Mutation -> an input that it accepts. */
export const AUDIT_CASES: Readonly<Record<string, (stack: TestStack) => Promise<string>>> = {
  answerBuildQuestion: async (stack) => {
    const id = await newQuestion(stack, { kind: 'QUESTION', questions: [question('What?')] });
    return `questionId: "${id}", answers: [["That."]]`;
  },
  approveBuild: async (stack) => `questionId: "${await newQuestion(stack, PERMISSION)}"`,
  archiveProject: async (stack) => `id: "${await newProject(stack)}"`,
  cancelBuild: async (stack) => `id: "${(await newBuild(stack)).build}"`,
  cancelBuilds: async (stack) => `filter: { projectId: "${(await newBuild(stack)).project}" }, reason: "not wanted"`,
  cancelTask: async (stack) => `id: "${(await newTask(stack)).task}", reason: "not wanted"`,
  cordonWorker: async (stack) => `id: "${await newWorker(stack)}"`,
  createAndBuild: async () => 'project: { name: "Made and built" }, spec: { prompt: "work" }, idempotencyKey: "1"',
  createApiToken: async (stack) => `name: "made", scopes: ["builds:read"], projectIds: ["${await newProject(stack)}"]`,
  createEnrolmentToken: async (stack) => `name: "made", labels: ["gpu"], projectIds: ["${await newProject(stack)}"]`,
  createProject: async () => 'name: "Made"',
  createSchedule: async (stack) =>
    `projectId: "${await newProject(stack)}", name: "made", cron: "@daily", spec: { prompt: "work" }`,
  deleteCredential: async (stack) => `projectId: "${await newCredential(stack, REGISTRY)}", name: "mine"`,
  deleteSchedule: async (stack) => `id: "${await newSchedule(stack)}"`,
  deleteTaskType: async (stack) => {
    const { project, type } = ofType(await newTaskType(stack));
    return `${project}, name: ${type}`;
  },
  drainWorker: async (stack) => `id: "${await newWorker(stack)}"`,
  enqueueTask: async (stack) => {
    const { project, type } = ofType(await newTaskType(stack));
    return `${project}, type: ${type}, payload: {}, idempotencyKey: "1"`;
  },
  evictWorker: async (stack) => `id: "${await newWorker(stack)}"`,
  pauseProject: async (stack) => `id: "${await newProject(stack)}"`,
  pauseSchedule: async (stack) => `id: "${await newSchedule(stack)}", reason: "not now"`,
  redeliverCallback: async (stack) => `buildId: "${(await newBuild(stack, { finished: true })).build}"`,
  redeliverTaskCallback: async (stack) => `taskId: "${(await newTask(stack, { cancelled: true })).task}"`,
  rejectBuild: async (stack) => `questionId: "${await newQuestion(stack, PERMISSION)}"`,
  requeueTask: async (stack) => `id: "${(await newTask(stack, { cancelled: true })).task}"`,
  resumeProject: async (stack) => `id: "${await newProject(stack, { paused: true })}"`,
  resumeSchedule: async (stack) => `id: "${await newSchedule(stack, { paused: true })}"`,
  retryBuild: async (stack) => `id: "${(await newBuild(stack, { finished: true })).build}"`,
  retryBuilds: async (stack) => {
    const { project } = await newBuild(stack, { finished: true });
    return `filter: { projectId: "${project}", status: [COMPLETED] }`;
  },
  revokeApiToken: async (stack) => `id: "${await newToken(stack)}"`,
  revokeEnrolmentToken: async (stack) => `id: "${await newEnrolment(stack)}"`,
  rotateApiToken: async (stack) => `id: "${await newToken(stack)}"`,
  sendBuildMessage: async (stack) => `buildId: "${(await newBuild(stack)).build}", text: "Hello."`,
  setBuildPriority: async (stack) => `id: "${(await newBuild(stack)).build}", priority: 7`,
  setCredential: async (stack) =>
    `projectId: "${await newProject(stack)}", name: "npm", registry: { url: "${REGISTRY.registry.url}", token: "${SECRET}" }`,
  setCredentialLimit: async (stack) =>
    `projectId: "${await newCredential(stack, MODEL_KEY)}", name: "mine", maxRunning: 2`,
  setKeyLimit: async (stack) => `projectId: "${await newProject(stack)}", key: "site", maxRunning: 2`,
  setTaskType: async (stack) => `projectId: "${await newProject(stack)}", name: "made", schema: {}`,
  startBuild: async (stack) => `projectId: "${await newProject(stack)}", spec: { prompt: "work" }`,
  uncordonWorker: async (stack) => `id: "${await newWorker(stack, { cordoned: true })}"`,
  updateProject: async (stack) => `id: "${await newProject(stack)}", name: "Changed"`,
  // Both at once: one call is one change.
  updateQueue: async () => 'paused: false, maxRunning: 1000',
  updateSchedule: async (stack) => `id: "${await newSchedule(stack)}", cron: "@hourly"`,
};

/**
 * What the worker of a task says of its own work. Nobody decides there about what is somebody else's, and there is more of
 * it than of all else: a heartbeat every few seconds. Its record is the task: an event in the word's transaction, of the
 * attempt whose CLAIMED names the worker. A heartbeat without news moves the lease alone.
 */
export const RECORDED_BY_TASKS: readonly string[] = [
  'claimTask',
  'completeTask',
  'failTask',
  'heartbeatTask',
  'releaseTask',
];
