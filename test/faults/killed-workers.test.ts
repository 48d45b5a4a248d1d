/** kill -9 of workers at random moments of a running Claude Code: the next worker goes on with that very run. */

import type { ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startBuild } from '../../src/builds/start-build.ts';
import type { BuildEvent } from '../../src/events/event.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { managedRepositoryPath } from '../../src/projects/repository.ts';
import { createRandom, type Random } from '../chaos/random.ts';
import { type FakeModel, openFakeModel } from '../support/fake-model/fake-model.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { findAgent } from '../support/real-agents.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const KILLS = 20;
/** Of workers that are killed side by side, each with a database and a data folder of its own. */
const LANES = 3;
/** From the moment when the agent may be started; the agent waits at its end until it was killed. */
const LAST_MOMENT_MS = 5_000;
const DEADLINE_MS = 60_000;
const SEED = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));
const run = promisify(execFile);
const found = await findAgent('claude-code');

interface Lane {
  readonly stack: TestStack;
  readonly environment: Readonly<Record<string, string>>;
  worker: ChildProcess;
}

/** What was seen of one killed worker and its build. */
interface Kill {
  readonly atMs: number;
  readonly status: string;
  readonly attempts: number;
  /** Requests with which an agent begins its work. */
  readonly beginnings: number;
  readonly sessions: number;
  readonly commits: number;
  /** What the agent said, in the order of the events. */
  readonly words: readonly string[];
  readonly numbers: readonly number[];
  /** Milliseconds from the start of the next worker's process until the agent was its own. */
  readonly backAfterMs: number;
}

let opened: AsyncDisposableStack;
let model: FakeModel;

async function openLane(): Promise<Lane> {
  const environment = {
    SLIPWAY_DEFAULT_PROVIDER: 'claude-code',
    SLIPWAY_CLAUDE_PATH: 'program' in found ? found.program : '',
    ANTHROPIC_API_KEY: 'test-key',
    ANTHROPIC_BASE_URL: model.url,
  };
  const stack = opened.use(await openTestStack(environment));
  const lane = { stack, environment, worker: await startWorkerProcess(stack, environment) };
  opened.defer(() => kill(lane.worker));
  return lane;
}

async function kill(worker: ChildProcess): Promise<void> {
  worker.kill('SIGKILL');
  if (worker.exitCode === null && worker.signalCode === null) await once(worker, 'exit');
}

async function killOnce(lane: Lane, { number, atMs }: { number: number; atMs: number }): Promise<Kill> {
  const { stack } = lane;
  const { id: projectId } = await stack.createProject();
  const spec = { prompt: `This is build ${number}. [[script:vigil]]` };
  const { build } = await startBuild(stack.orchestrator, { projectId, spec }, 'test');
  const eventsOf = () => readEvents(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });
  const begun = async (attempts: number) => {
    const phases = (await eventsOf()).filter((event) => event.type === 'PHASE_CHANGED' && event.data.to === 'AGENT');
    return phases.length === attempts;
  };
  await waitFor(() => begun(1), { deadlineMs: DEADLINE_MS, what: `the agent of build ${number}` });
  await delay(atMs);
  await kill(lane.worker);
  const restartedAt = performance.now();
  lane.worker = await startWorkerProcess(stack, lane.environment);
  await waitFor(() => begun(2), { deadlineMs: DEADLINE_MS, what: `the next attempt of build ${number}` });
  const backAfterMs = performance.now() - restartedAt;
  // Not before: an agent that has ended proves nothing, and one that had not begun when its worker died begins in a new folder.
  const waits = async () => (await eventsOf()).flatMap(wordsOf).includes('I wait.');
  await waitFor(waits, { deadlineMs: DEADLINE_MS, everyMs: 100, what: `the wait of the agent of build ${number}` });
  await writeFile(join((await stack.orchestrator.runtime.open(build.id)).paths.work, 'go'), '');
  const ended = await stack.finished(build.id, DEADLINE_MS);
  const events = await eventsOf();
  const repository = managedRepositoryPath({ dataFolder: stack.dataFolder }, projectId);
  const { stdout } = await run('git', ['-C', repository, 'log', '--all', '--format=%H']);
  const own = model.prompts.filter((prompt) => prompt.includes(`This is build ${number}.`));
  return {
    atMs: Math.round(atMs),
    status: ended.failure?.message ?? ended.status,
    attempts: ended.attemptNo,
    beginnings: own.filter((prompt) => !prompt.includes('I begin.')).length,
    sessions: new Set(events.flatMap((event) => (event.type === 'AGENT_STARTED' ? [event.data.sessionId] : []))).size,
    commits: stdout.split('\n').filter(Boolean).length,
    words: events.flatMap(wordsOf),
    numbers: events.map(({ seq }) => seq),
    backAfterMs: Math.round(backAfterMs),
  };
}

function wordsOf(event: BuildEvent): string[] {
  if (event.type !== 'AGENT_ACTIVITY' || event.data.content.kind !== 'message') return [];
  return [event.data.content.text];
}

/** Kills the worker of one lane again and again, as long as there are numbers left. */
async function work(lane: Lane, numbers: Iterator<number>, random: Random): Promise<Kill[]> {
  const kills: Kill[] = [];
  for (let next = numbers.next(); !next.done; next = numbers.next()) {
    kills.push(await killOnce(lane, { number: next.value, atMs: random.between(0, LAST_MOMENT_MS) }));
  }
  return kills;
}

const WORDS = [
  'I begin.',
  ...Array.from({ length: 25 }, (_, index) => `Tick ${index + 1}.`),
  'I wait.',
  'Done: hello.txt is written.',
];

describe.skipIf('missing' in found)('with the real Claude Code', () => {
  beforeAll(async () => {
    opened = new AsyncDisposableStack();
    model = opened.use(await openFakeModel());
  });
  afterAll(() => opened.disposeAsync());

  test(`${KILLS} times kill -9 of the worker at a random moment, and each agent runs once`, {
    timeout: 900_000,
  }, async () => {
    const numbers = Array.from({ length: KILLS }, (_, index) => index + 1).values();
    const random = createRandom(SEED);
    const lanes = await Promise.all(Array.from({ length: LANES }, openLane));
    const done = await Promise.all(lanes.map((lane, index) => work(lane, numbers, random.fork(`lane ${index}`))));
    const kills = done.flat();
    const moments = kills.map(({ atMs }) => atMs).sort((a, b) => a - b);
    const pauses = kills.map(({ backAfterMs }) => backAfterMs).sort((a, b) => a - b);
    console.log(
      `${kills.length} kills (KILL_SEED=${SEED}) after ${moments.join(', ')} ms of the agent's phase; ` +
        `agents begun: ${kills.reduce((sum, { beginnings }) => sum + beginnings, 0)}; the next worker had the agent ` +
        `${pauses[0]} to ${pauses.at(-1)} ms after its own start, half of them within ${pauses[pauses.length >> 1]} ms`,
    );
    expect(kills).toHaveLength(KILLS);
    for (const { words, numbers: seen, atMs, backAfterMs: _, ...rest } of kills) {
      expect(rest, `killed after ${atMs} ms`).toEqual({
        ...{ status: 'COMPLETED', attempts: 2, beginnings: 1, sessions: 1, commits: 1 },
      });
      expect(words, `killed after ${atMs} ms`).toEqual(WORDS);
      expect(seen).toEqual(seen.map((_number, index) => index + 1));
    }
  });
});
