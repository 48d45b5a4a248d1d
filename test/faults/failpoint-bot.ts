/** A client as it should be: every request has a key and a deadline, and is sent again until there is an answer. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { createClient } from '../../src/client/client.ts';
import { watchBuild } from '../../src/client/watch-build.ts';
import type { BuildEventType } from '../../src/events/event.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Rig, unlessTransient } from './failpoint-rig.ts';
import { recordWatch, uuidOf } from './history.ts';

/** Then another server is asked. A request that is not sent twice has until the end. */
const ANSWER_WITHIN_MS = 5_000;
const ASK_AGAIN_AFTER_MS = 200;
const GIVE_UP_AFTER_MS = 90_000;
/** A build that is started when another one was refused comes within this time. */
const REFUSED_SECONDS = 8;

export interface WatchedBuild {
  /** `build_…` */
  readonly id: string;
  /** What its subscribers were told so far, one list for each server that is asked. */
  readonly seen: readonly (readonly BuildEventType[])[];
  /** Resolves when all of them saw its end. */
  readonly ended: Promise<void>;
}

export interface Bot {
  readonly project: NamedProject;
  /** Of the servers, the one that is asked first at the beginning. */
  readonly urls: readonly string[];
  readonly builds: readonly WatchedBuild[];
  startBuild(kind: keyof typeof SCRIPTS, spec?: object): Promise<WatchedBuild>;
  /** With a project and a remote of its own. */
  createAndBuild(): Promise<WatchedBuild>;
  retryBuild(build: WatchedBuild): Promise<WatchedBuild>;
  cancelBuild(build: WatchedBuild): Promise<void>;
  /** One more file, in a turn of its own. */
  tellBuild(build: WatchedBuild): Promise<void>;
  /** A schedule whose time has come: its build. */
  awaitScheduled(): Promise<WatchedBuild>;
}

const talk = (count: number, seconds: number) =>
  Array.from({ length: count }, (_, index) => [{ print: `word ${index}` }, { wait: seconds }]).flat();

/** The files of two builds are not the same, so that one can be put on top of the other. */
const SCRIPTS = {
  quick: (name: string) => script(...talk(2, 0.2), write(name)),
  long: (name: string) => script(...talk(3, 2), write(name)),
  /** Runs long enough to be told something. */
  told: (name: string) => script(...talk(2, 1.5), write(name)),
  failing: () => script(...talk(3, 2), { fail: 'as asked' }),
  endless: (name: string) => script(...talk(30, 2), write(name)),
  /** Dies of a rate limit the first time that it runs. */
  refused: (name: string, folder: string) => {
    const mark = join(folder, `refused-${name}`);
    const refusal = { reason: 'rate_limit', message: 'slow down', retryAfterSeconds: REFUSED_SECONDS };
    const run = `[ -e '${mark}' ] || { touch '${mark}'; kill -9 $PPID; }`;
    return script(...talk(2, 0.2), { retry: refusal }, { run }, write(name));
  },
} as const;

const write = (name: string) => ({ write: { path: `reports/${name}.txt`, content: `${name}\n` } });

/** JSON whose shape only the query knows. */
export type Json = ReturnType<typeof JSON.parse>;

export interface BotOptions {
  /** Of the servers, the one that is asked first at the beginning. */
  readonly urls: readonly string[];
  /** The repositories are reached over HTTP, with a password; by their paths otherwise, which costs a third less. */
  readonly isRemote: boolean;
  /** Of the project, besides what all have. */
  readonly settings?: object;
  /** Of its builds. */
  readonly spec?: object;
}

export async function openBot(rig: Rig, options: BotOptions): Promise<Bot> {
  const { urls, isRemote } = options;
  const builds: WatchedBuild[] = [];
  const project = await createProject(rig, options);
  let count = 0;
  const nextKey = () => {
    count += 1;
    return `key-${count}`;
  };
  const follow = (id: string): WatchedBuild => {
    const watched = watch(rig, urls, id);
    builds.push(watched);
    return watched;
  };
  const accept = (projectId: string, idempotencyKey: string, { build }: Json): WatchedBuild => {
    rig.recorder.accepted({ projectId, idempotencyKey, buildId: uuidOf('build', build.id) });
    return follow(build.id);
  };
  const askForBuild = async (projectId: string, key: string, mutation: { query: string; input: object }) => {
    rig.recorder.asked({ projectId, idempotencyKey: key });
    const input = { ...mutation.input, idempotencyKey: key };
    return accept(projectId, key, await mustDo(rig, urls, mutation.query, { input }));
  };
  return {
    ...{ project, urls, builds },
    startBuild(kind, spec = {}) {
      const key = nextKey();
      const input = {
        projectId: project.id,
        spec: { prompt: SCRIPTS[kind](key, rig.folder), callbackUrl: rig.callbackUrl, ...options.spec, ...spec },
      };
      return askForBuild(project.uuid, key, { query: START, input });
    },
    retryBuild(build) {
      return askForBuild(project.uuid, nextKey(), { query: RETRY, input: { id: build.id } });
    },
    async createAndBuild() {
      const idempotencyKey = nextKey();
      const { input, path } = await newProject(rig, { name: idempotencyKey, isRemote });
      const spec = { prompt: SCRIPTS.quick(idempotencyKey), callbackUrl: rig.callbackUrl };
      const created = await mustDo(rig, urls, CREATE_AND_BUILD, { input: { project: input, spec, idempotencyKey } });
      return accept(knowProject(rig, created, path).uuid, idempotencyKey, created);
    },
    async tellBuild({ id }) {
      const idempotencyKey = nextKey();
      const text = script(...talk(1, 0.2), write(idempotencyKey));
      // A refusal says that the agent has finished meanwhile.
      await ask(rig, urls, TELL, { input: { buildId: id, text, mode: 'QUEUE', idempotencyKey } });
    },
    async awaitScheduled() {
      const spec = { prompt: SCRIPTS.quick(nextKey()), callbackUrl: rig.callbackUrl };
      const input = { projectId: project.id, name: nextKey(), cron: '@yearly', overlap: 'QUEUE', spec };
      const { schedule } = await mustDo(rig, urls, CREATE_SCHEDULE, { input });
      const scheduleId = uuidOf('schedule', schedule.id);
      await makeDue(rig, scheduleId);
      const build = await waitFor(() => findScheduled(rig, scheduleId), { deadlineMs: 100_000, everyMs: 100 });
      return follow(toPublicId('build', build.id));
    },
    async cancelBuild({ id }) {
      const answer = await ask(rig, urls, CANCEL, { input: { id, reason: 'not wanted' } });
      // A refusal says that it is over, or publishes already.
      if (answer.__typename === 'CancelBuildPayload') rig.recorder.cancelled(uuidOf('build', id));
    },
  };
}

const BUILD = 'build { id } deduplicated';
const START = `mutation ($input: StartBuildInput!) {
  answer: startBuild(input: $input) { __typename ... on StartBuildPayload { ${BUILD} } ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;
const RETRY = `mutation ($input: RetryBuildInput!) {
  answer: retryBuild(input: $input) { __typename ... on RetryBuildPayload { ${BUILD} } ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;
const CANCEL = `mutation ($input: CancelBuildInput!) {
  answer: cancelBuild(input: $input) { __typename ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;
const TELL = `mutation ($input: SendBuildMessageInput!) {
  answer: sendBuildMessage(input: $input) { __typename ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;
const CREATE = `mutation ($input: ProjectInput!) {
  answer: createProject(input: $input) { __typename
    ... on CreateProjectPayload { project { id } callbackSecret } ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;
const CREATE_AND_BUILD = `mutation ($input: CreateAndBuildInput!) {
  answer: createAndBuild(input: $input) { __typename
    ... on CreateAndBuildPayload { project { id } callbackSecret ${BUILD} } ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;

const CREATE_SCHEDULE = `mutation ($input: CreateScheduleInput!) {
  answer: createSchedule(input: $input) { __typename ... on CreateSchedulePayload { schedule { id } } ... on UserError { code message } ... on InvalidInputError { issues { path message } } } }`;

/** As if its time had come this minute. */
async function makeDue({ database: { db } }: Rig, id: string): Promise<void> {
  const next_run_at = sql<Date>`date_trunc('minute', now())`;
  await db.updateTable('schedules').set({ next_run_at }).where('id', '=', id).execute();
  await sql`update pgboss.job set start_after = now() where name = 'schedules' and id = ${id}`.execute(db);
}

async function findScheduled({ database: { db } }: Rig, id: string): Promise<{ id: string } | null> {
  const found = db.selectFrom('build_audit').select('id').where('schedule_id', '=', id);
  return (await found.executeTakeFirst().catch(unlessTransient)) ?? null;
}

/** The answer of one mutation, from whichever server gives one. Throws when none did for a minute. */
export async function ask(
  rig: Pick<Rig, 'url' | 'token'>,
  urls: readonly string[],
  query: string,
  variables: object,
): Promise<Json> {
  const deadline = performance.now() + GIVE_UP_AFTER_MS;
  for (let tries = 0; ; tries += 1) {
    const url = urls[tries % urls.length] ?? rig.url;
    const within = urls.length > 1 ? ANSWER_WITHIN_MS : GIVE_UP_AFTER_MS;
    const { data, errors } = await send({ url, token: rig.token, within }, { query, variables });
    if (data?.answer) return data.answer;
    if (performance.now() > deadline) throw new Error(`no answer: ${JSON.stringify(errors)}`);
    await delay(ASK_AGAIN_AFTER_MS);
  }
}

/** `ask`, where nothing but yes can be the answer. */
export async function mustDo(...asked: Parameters<typeof ask>): Promise<Json> {
  const answer = await ask(...asked);
  if (!answer.__typename.endsWith('Payload')) throw new Error(`refused: ${JSON.stringify(answer)}`);
  return answer;
}

async function send(
  { url, token, within }: { url: string; token: string; within: number },
  body: object,
): Promise<Json> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(within),
    });
    return await response.json();
  } catch (error) {
    return { errors: String(error) };
  }
}

export interface NamedProject {
  /** `project_…` */
  readonly id: string;
  readonly uuid: string;
}

async function createProject(rig: Rig, { urls, ...options }: BotOptions): Promise<NamedProject> {
  const { input, path } = await newProject(rig, { name: 'main', ...options });
  return knowProject(rig, await mustDo(rig, urls.toReversed(), CREATE, { input }), path);
}

interface NewProject extends Pick<BotOptions, 'isRemote' | 'settings'> {
  readonly name: string;
}

async function newProject(rig: Rig, { name, isRemote, settings: own }: NewProject) {
  const { url, path } = await rig.git.createRepository(`${rig.folder.split('/').at(-1)}-${name}`);
  const gitCredentials = { username: 'bot', password: rig.gitPassword };
  // The rules for secrets take a second to load, in every process anew; hostile-secrets.test.ts looks at them.
  const settings = { artifacts: ['reports/*.txt'], secretScan: { enabled: false }, ...own };
  const repository = isRemote ? { repositoryUrl: url, gitCredentials } : { repositoryUrl: path };
  return { path, input: { name, ...repository, settings } };
}

function knowProject(rig: Rig, { project, callbackSecret }: Json, path: string): NamedProject {
  const uuid = uuidOf('project', project.id);
  rig.remotes.set(uuid, path);
  rig.callbackSecrets.set(uuid, callbackSecret);
  return { id: project.id, uuid };
}

function watch(rig: Rig, urls: readonly string[], id: string): WatchedBuild {
  const watches = urls.map((url) => {
    const types: BuildEventType[] = [];
    const follow = async () => {
      await using client = createClient({ url, token: rig.token });
      const events = watchBuild(client, id, { giveUpAfterMs: GIVE_UP_AFTER_MS });
      for await (const { type } of recordWatch(rig.recorder, { buildId: uuidOf('build', id), events }))
        types.push(type);
    };
    return { types, done: follow() };
  });
  const ended = Promise.all(watches.map(({ done }) => done)).then(() => {});
  // Whoever waits for it is told.
  ended.catch(() => {});
  return { id, seen: watches.map(({ types }) => types), ended };
}

/** Waits until a subscriber of the build was told of such an event, 40 s at most. */
export async function told(build: WatchedBuild, type: BuildEventType): Promise<void> {
  const what = `${type} of ${build.id}`;
  await waitFor(() => build.seen.some((types) => types.includes(type)), { deadlineMs: 40_000, everyMs: 20, what });
}
