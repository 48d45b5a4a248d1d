/** Pages from the database: whatever their size and direction, they concatenate to the whole list. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { type Answer, Api } from './api.ts';

const BUILDS = 17;
const EVENTS = 24;

let stack: TestStack;
let api: Api;
let projectId: string;
let buildId: string;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
  const project = await stack.createProject();
  projectId = toPublicId('project', project.id);
  for (let count = 0; count < BUILDS; count += 1) {
    const spec = { prompt: 'x', branch: count % 3 === 0 ? 'third' : 'main' };
    const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
    buildId = toPublicId('build', build.id);
    if (count < BUILDS - 1) continue;
    const events = Array.from({ length: EVENTS - 1 }, () => ({ type: 'PROGRESS' as const, data: { message: 'x' } }));
    await appendEvents(stack.orchestrator.db, { buildId: build.id, attemptNo: null }, events);
  }
});
afterAll(() => stack[Symbol.asyncDispose]());

interface List {
  /** The field with `ARGS` where its arguments go; a number names each item. */
  readonly source: () => string;
  readonly whole: readonly number[];
}

const numbers = Array.from({ length: BUILDS }, (_, index) => index + 1);
const thirds = numbers.filter((number) => (number - 1) % 3 === 0);
const page = 'pageInfo { hasNextPage hasPreviousPage startCursor endCursor }';
const newestFirst = numbers.toReversed();
const oldestFirst = 'orderBy: { field: CREATED_AT, direction: ASC }, ';

const LISTS: readonly List[] = [
  { source: () => `builds(ARGS) { nodes { key: number } ${page} }`, whole: newestFirst },
  { source: () => `builds(${oldestFirst}ARGS) { nodes { key: number } ${page} }`, whole: numbers },
  {
    source: () => `builds(filter: { branch: "third" }, ARGS) { nodes { key: number } ${page} }`,
    whole: thirds.toReversed(),
  },
  {
    source: () => `project(id: "${projectId}") { builds(ARGS) { nodes { key: number } ${page} } }`,
    whole: newestFirst,
  },
  {
    source: () => `build(id: "${buildId}") { events(ARGS) { nodes { key: cursor } ${page} } }`,
    whole: Array.from({ length: EVENTS }, (_, index) => index + 1),
  },
];

async function readAll(list: List, size: number, backward: boolean): Promise<number[]> {
  let seen: number[] = [];
  let cursor = '';
  for (let pages = 0; pages <= list.whole.length; pages += 1) {
    const args = backward
      ? `last: ${size}${cursor && `, before: "${cursor}"`}`
      : `first: ${size}${cursor && `, after: "${cursor}"`}`;
    const [root]: Answer['data'][] = Object.values(await api.data(`{ ${list.source().replace('ARGS', args)} }`));
    const { nodes, pageInfo } = root.builds ?? root.events ?? root;
    const keys = nodes.map(({ key }: { key: string }) => Number(key));
    seen = backward ? [...keys, ...seen] : [...seen, ...keys];
    if (!(backward ? pageInfo.hasPreviousPage : pageInfo.hasNextPage)) break;
    cursor = backward ? pageInfo.startCursor : pageInfo.endCursor;
  }
  return seen;
}

it('pages of any size concatenate to the list, forward and backward', async () => {
  const sizes = fc.integer({ min: 1, max: 30 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...LISTS), sizes, fc.boolean(), async (list, size, backward) => {
      expect(await readAll(list, size, backward)).toEqual(list.whole);
    }),
    { numRuns: 40 },
  );
});

it('a build that is added does not move the pages behind it', async () => {
  const read = async (after: string) =>
    (await api.data(`{ builds(first: 3${after}) { nodes { number } ${page} } }`)).builds;
  const first = await read('');
  const { id } = await stack.createProject();
  await startBuild(stack.orchestrator, { projectId: id, spec: { prompt: 'x' } }, 'test');
  const second = await read(`, after: "${first.pageInfo.endCursor}"`);
  expect(second.nodes.map((build: { number: number }) => build.number)).toEqual(newestFirst.slice(3, 6));
});
