import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import { eventsTopic, projectTopic } from '../../src/events/topics.ts';
import type { Project } from '../../src/projects/project.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { type Answer, Api } from './api.ts';
import { finish, print } from './finish.ts';

let stack: TestStack;
let api: Api;
let project: Project;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  project = await stack.createProject();
});
afterAll(() => stack[Symbol.asyncDispose]());

async function start(): Promise<string> {
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt: 'x' } }, 'test');
  return build.id;
}

async function happen(buildId: string, ...events: NewBuildEvent[]): Promise<void> {
  await appendEvents(stack.orchestrator.db, { buildId, attemptNo: null }, events);
  stack.orchestrator.hub.announce(eventsTopic(buildId), projectTopic(project.id));
}

const progress = (message: string): NewBuildEvent => ({ type: 'PROGRESS', data: { message } });
const pushed: NewBuildEvent = { type: 'GIT_PUSHED', data: { sha: 'c0ffee', ref: 'refs/heads/main' } };

async function open(source: string): Promise<AsyncGenerator<Answer>> {
  const answer = await api.subscribe(source);
  if ('errors' in answer) throw new Error(JSON.stringify(answer.errors));
  return answer;
}

async function take(stream: AsyncGenerator<Answer>, count: number): Promise<Answer['data'][]> {
  const taken: Answer['data'][] = [];
  while (taken.length < count) {
    const { done, value } = await stream.next();
    if (done) break;
    expect(value.errors).toEqual([]);
    taken.push(Object.values(value.data)[0]);
  }
  return taken;
}

const follow = (buildId: string, after?: string) =>
  open(`subscription { buildProgress(buildId: "${toPublicId('build', buildId)}"${after ? `, after: "${after}"` : ''}) {
    __typename cursor build { id } ... on BuildProgressed { message } ... on BuildFinished { status result { success } } } }`);

describe('buildProgress', () => {
  it('replays, goes on live, and ends after the last event', async () => {
    const id = await start();
    await happen(id, progress('one'));
    const stream = await follow(id);
    expect(await take(stream, 2)).toMatchObject([{ __typename: 'BuildQueued', cursor: '1' }, { message: 'one' }]);
    const live = take(stream, 3);
    await happen(id, progress('two'), progress('three'));
    await finish(stack.orchestrator, id);
    expect(await live).toMatchObject([
      { cursor: '3', message: 'two' },
      { cursor: '4', message: 'three' },
      { cursor: '5', status: 'COMPLETED', result: { success: true }, build: { id: toPublicId('build', id) } },
    ]);
    expect(await stream.next()).toMatchObject({ done: true });
  });

  it('resumes after a cursor, and ends at once when that was the last', async () => {
    const id = await start();
    await finish(stack.orchestrator, id);
    expect(await take(await follow(id, '1'), 9)).toMatchObject([{ cursor: '2' }]);
    expect(await take(await follow(id, '2'), 9)).toEqual([]);
    expect(await take(await follow(id, '999'), 9)).toEqual([]);
  });

  it('waits when the cursor is ahead of a build that runs', async () => {
    const id = await start();
    const stream = await follow(id, '2');
    const next = take(stream, 1);
    await happen(id, progress('skipped'), progress('given'));
    expect(await next).toMatchObject([{ cursor: '3', message: 'given' }]);
    await stream.return(undefined);
  });
});

const log = (buildId: string, after?: string) =>
  open(`subscription { buildLog(buildId: "${toPublicId('build', buildId)}"${after ? `, after: "${after}"` : ''}) {
    cursor finished lines { number text stream } } }`);

describe('buildLog', () => {
  it('gives batches of at most 200 lines, goes on live, and ends when the build is finished', async () => {
    const id = await start();
    const texts = Array.from({ length: 450 }, (_, index) => `line ${index + 1}`);
    await print(stack.orchestrator, id, texts.slice(0, 430));
    const stream = await log(id);
    const stored = await take(stream, 3);
    expect(stored.map((batch) => [batch.cursor, batch.lines.length, batch.finished])).toEqual([
      ['200', 200, false],
      ['400', 200, false],
      ['430', 30, false],
    ]);
    const live = take(stream, 9);
    await print(stack.orchestrator, id, texts.slice(430));
    await finish(stack.orchestrator, id);
    const rest = await live;
    expect(rest.at(-1)).toMatchObject({ cursor: '450', finished: true });
    const lines = [...stored, ...rest].flatMap((batch) => batch.lines);
    expect(lines.map((line) => line.text)).toEqual(texts);
    expect(lines[0]).toEqual({ number: 1, text: 'line 1', stream: 'STDOUT' });
  });

  it('resumes inside a chunk, and says finished when nothing is left', async () => {
    const id = await start();
    await print(stack.orchestrator, id, ['a', 'b', 'c']);
    await finish(stack.orchestrator, id);
    expect(await take(await log(id, '2'), 9)).toMatchObject([{ cursor: '3', finished: true, lines: [{ text: 'c' }] }]);
    expect(await take(await log(id, '3'), 9)).toEqual([{ cursor: '3', finished: true, lines: [] }]);
    const long = await start();
    const texts = Array.from({ length: 20 }, (_, index) => `chunk ${index}`);
    for (const text of texts) await print(stack.orchestrator, long, [text]);
    await finish(stack.orchestrator, long);
    const batches = await take(await log(long), 20);
    expect(batches.flatMap((batch) => batch.lines.map((line: { text: string }) => line.text))).toEqual(texts);
    expect(batches.filter((batch) => batch.finished)).toEqual([batches.at(-1)]);
    const silent = await start();
    await finish(stack.orchestrator, silent);
    expect(await take(await log(silent), 9)).toEqual([{ cursor: '0', finished: true, lines: [] }]);
  });
});

const activity = (projectId: string, args = '') =>
  open(`subscription { projectActivity(projectId: "${toPublicId('project', projectId)}"${args}) {
    cursor event { __typename cursor build { id } } } }`);

describe('projectActivity', () => {
  it('gives the milestones of all builds in one order, and only the kinds that are asked for', async () => {
    const { id: projectId } = await stack.createProject();
    const input = { projectId, spec: { prompt: 'x' } };
    const { build: a } = await startBuild(stack.orchestrator, input, 'test');
    const { build: b } = await startBuild(stack.orchestrator, input, 'test');
    await happen(a.id, progress('detail'), pushed);
    const all = await activity(projectId);
    expect(await take(all, 3)).toMatchObject([
      { cursor: '1', event: { __typename: 'BuildQueued', build: { id: toPublicId('build', a.id) } } },
      { cursor: '2', event: { __typename: 'BuildQueued', build: { id: toPublicId('build', b.id) } } },
      { cursor: '3', event: { __typename: 'GitPushed', cursor: '3', build: { id: toPublicId('build', a.id) } } },
    ]);
    const ends = await activity(projectId, ', after: "1", types: [FINISHED, GIT_PUSHED]');
    const live = Promise.all([take(all, 1), take(ends, 2)]);
    await finish(stack.orchestrator, b.id);
    const finished = { cursor: '4', event: { __typename: 'BuildFinished' } };
    expect(await live).toMatchObject([[finished], [{ cursor: '3' }, finished]]);
    await Promise.all([all.return(undefined), ends.return(undefined)]);
  });

  it('refuses kinds that are no milestones', async () => {
    const answer = await api.subscribe(
      `subscription { projectActivity(projectId: "${toPublicId('project', project.id)}", types: [PROGRESS]) { cursor } }`,
    );
    expect(answer).toMatchObject({
      errors: [{ extensions: { code: 'INVALID_INPUT', issues: [{ path: ['types'] }] } }],
    });
  });
});

describe('every subscription', () => {
  const fields = (build: string, projectId: string, after: string) => [
    `buildProgress(buildId: "${build}", after: "${after}") { cursor }`,
    `buildLog(buildId: "${build}", after: "${after}") { cursor }`,
    `projectActivity(projectId: "${projectId}", after: "${after}") { cursor }`,
  ];

  it('refuses a malformed cursor by its name', async () => {
    const build = toPublicId('build', await start());
    for (const after of ['x', '-1', '1.5', '1e3', ' 1', '', '9'.repeat(16)]) {
      for (const field of fields(build, toPublicId('project', project.id), after)) {
        expect(await api.subscribe(`subscription { ${field} }`), field).toMatchObject({
          errors: [{ extensions: { code: 'INVALID_CURSOR', issues: [{ path: ['after'] }] } }],
        });
      }
    }
  });

  it('says NOT_FOUND for what there is not', async () => {
    for (const field of fields('build_x', 'project_x', '0')) {
      expect(await api.subscribe(`subscription { ${field} }`)).toMatchObject({
        errors: [{ extensions: { code: 'NOT_FOUND' } }],
      });
    }
  });

  it('is released at once when its consumer goes, also while it waits', async () => {
    const { hub } = stack.orchestrator;
    const build = toPublicId('build', await start());
    expect(hub.waiters).toBe(0);
    for (const field of fields(build, toPublicId('project', project.id), '1000')) {
      const stream = await open(`subscription { ${field} }`);
      const waiting = stream.next();
      expect(hub.waiters).toBe(1);
      await stream.return(undefined);
      expect(hub.waiters).toBe(0);
      expect(await waiting).toMatchObject({ done: true });
    }
  });
});
