/** The projects of a run, with their shares and schedules. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Client, createClient } from '../../src/client/client.ts';
import {
  CreateProjectDocument,
  CreateScheduleDocument,
  SetCredentialDocument,
  SetTaskTypeDocument,
} from '../../src/client/generated.ts';
import { uuidOf } from '../faults/history.ts';
import type { GitServer } from '../support/git-server.ts';
import { script } from '../support/script.ts';

const run = promisify(execFile);
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
/** Of the projects: they stay as they are, the limits do not. */
const WEIGHTS = [1, 2, 3, 1];
/** Where the scripted agent would take its key, if it needed one. */
export const KEY_VARIABLE = 'OPENAI_API_KEY';
export const CREDENTIAL = 'shared';

/** By the project that has it; every minute, and more often by the fault "a schedule is due". */
export const SCHEDULES = [
  { overlap: 'QUEUE', catchUp: 'ALL' },
  { overlap: 'SKIP_IF_RUNNING', catchUp: 'LATEST' },
  { overlap: 'CANCEL_RUNNING', catchUp: 'NONE' },
] as const;

export interface ChaosProject {
  /** UUID. */
  readonly id: string;
  readonly publicId: string;
  readonly callbackSecret: string;
  /** Of its bare repository. */
  readonly path: string;
}

export interface CreateProjects {
  readonly git: GitServer;
  readonly password: string;
  /** Of the credential that all builds share. */
  readonly apiKey: string;
  readonly url: string;
  readonly token: string;
}

export async function createProjects(options: CreateProjects): Promise<ChaosProject[]> {
  await using client = createClient({ url: options.url, token: options.token });
  const projects: ChaosProject[] = [];
  for (const [index, weight] of WEIGHTS.entries()) projects.push(await createOne(client, options, { index, weight }));
  const modelApiKey = { variable: KEY_VARIABLE, key: options.apiKey };
  requirePayload(
    (await client.request(SetCredentialDocument, { input: { name: CREDENTIAL, modelApiKey } })).setCredential,
  );
  requirePayload((await client.request(SetTaskTypeDocument, { input: { name: 'chore', schema: {} } })).setTaskType);
  for (const [index, rule] of SCHEDULES.entries()) {
    const spec = {
      prompt: script({ print: 'by the clock' }, { run: 'echo $SLIPWAY_BUILD_ID > scheduled-$SLIPWAY_BUILD_ID.txt' }),
      labels: [{ key: 'agent', value: 'scheduled' }],
      // What is caught up would else be pushed to one branch by all at once.
      ...{ branch: 'clock', concurrencyKey: 'clock' },
    };
    const projectId = projects[index]?.publicId ?? '';
    const input = { projectId, name: `${rule.overlap} ${rule.catchUp}`, cron: '* * * * *', spec, ...rule };
    requirePayload((await client.request(CreateScheduleDocument, { input })).createSchedule);
  }
  return projects;
}

async function createOne(
  client: Client,
  { git, password }: CreateProjects,
  { index, weight }: { index: number; weight: number },
): Promise<ChaosProject> {
  const repository = await git.createRepository(`project-${index + 1}`);
  await commitFirst(repository.path);
  const isLast = index === WEIGHTS.length - 1;
  const { createProject } = await client.request(CreateProjectDocument, {
    input: {
      name: `Project ${index + 1}`,
      repositoryUrl: repository.url,
      gitCredentials: { username: 'bot', password },
      settings: {
        queue: { weight },
        supersede: isLast ? { policy: 'CANCEL_IN_PROGRESS', by: 'BRANCH' } : null,
      },
    },
  });
  if (createProject.__typename !== 'CreateProjectPayload' || !createProject.callbackSecret)
    throw new Error(JSON.stringify(createProject));
  const { project, callbackSecret } = createProject;
  return { id: uuidOf('project', project.id), publicId: project.id, callbackSecret, path: repository.path };
}

function requirePayload(answer: { readonly __typename: string }): void {
  if (!answer.__typename.endsWith('Payload')) throw new Error(JSON.stringify(answer));
}

/** So that a branch which a build makes first is not the only one. */
async function commitFirst(path: string): Promise<void> {
  const identity = { GIT_AUTHOR_NAME: 'chaos', GIT_AUTHOR_EMAIL: 'chaos', GIT_COMMITTER_NAME: 'chaos' };
  const env = { ...process.env, ...identity, GIT_COMMITTER_EMAIL: 'chaos', GIT_DIR: path };
  const commit = await run('git', ['commit-tree', EMPTY_TREE, '-m', 'The beginning'], { env });
  await run('git', ['update-ref', 'refs/heads/main', commit.stdout.trim()], { env });
}
