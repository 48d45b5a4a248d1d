/** H65 to H79: what a program may print that Slipway takes for an agent. The build ends by what is sound in it. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findBuild } from '../../src/builds/build.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { readTranscript } from '../support/transcripts.ts';

const API_KEY = 'sk-hostile-0123456789-0123456789';
const MIB = 1024 * 1024;
const MAX_GROWTH_MIB = 300;

const lines = readTranscript('claude-success').lines.filter((line) => line !== '');
const [INIT = '', ...REST] = lines;
const RESULT = REST.at(-1) ?? '';
const MIDDLE = REST.slice(0, -1);

function resultWith(changes: object): string {
  return JSON.stringify({ ...JSON.parse(RESULT), ...changes });
}

interface AgentCase {
  readonly h: number;
  readonly name: string;
  /** What the program prints, as a shell script that knows `$HERE` and `$ANTHROPIC_API_KEY`. */
  readonly shell?: string;
  /** Or as bytes. */
  readonly output?: string | Buffer;
  readonly status?: 'COMPLETED' | 'FAILED';
  /** What the log must have, and must not. */
  readonly shows?: string;
  readonly hides?: readonly string[];
  readonly costUsd?: number | null;
}

/** A whole run with this before its result. */
const during = (hostile: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from([INIT, ...MIDDLE, ''].join('\n')), Buffer.from(hostile), Buffer.from(`\n${RESULT}\n`)]);
const whole = (...all: readonly string[]) => `${all.join('\n')}\n`;
const COSTS = /"(total_cost_usd|costUSD)":[\d.]+/g;
const COST = JSON.parse(RESULT).total_cost_usd as number;
const nested = (depth: number) => `{"type":"x","a":${'['.repeat(depth)}${']'.repeat(depth)}}`;

const CASES: readonly AgentCase[] = [
  { h: 65, name: 'a line that is no JSON', output: during('<<<no json>>>'), shows: '<<<no json>>>' },
  { h: 66, name: 'a JSON number', output: during('42'), shows: '42' },
  { h: 66, name: 'null', output: during('null'), shows: 'null' },
  { h: 66, name: 'a list', output: during('[{"type":"result"}]'), shows: '[{"type":"result"}]' },
  {
    h: 67,
    name: 'a line of 64 MB',
    shell: `cat "$HERE/head"; head -c 64000000 /dev/zero | tr '\\0' a; echo; cat "$HERE/tail"`,
    shows: 'aaaaaaaaaa',
  },
  {
    h: 68,
    name: 'bytes that are no UTF-8',
    output: during(Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x61])),
    shows: '\ufffd',
  },
  {
    h: 69,
    name: 'NUL, raw and escaped',
    output: during('a\0b {"type":"assistant","x":"\\u0000"}'),
    shows: 'b {"type"',
  },
  {
    h: 69,
    name: 'NUL and half a surrogate pair in a known event',
    output: during(
      '{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"a\\u0000b\\ud83d"}]}}',
    ),
  },
  { h: 70, name: '100,000 levels', output: during(nested(100_000)), shows: '[[[[' },
  // A result is the end of a turn, and turns add up; what one of them says of all is not believed.
  {
    h: 71,
    name: 'a second result',
    output: whole(INIT, ...MIDDLE, RESULT, resultWith({ total_cost_usd: 99 })),
    costUsd: 2 * COST,
  },
  { h: 72, name: 'a result before init', output: whole(RESULT, INIT, ...MIDDLE, RESULT), costUsd: 2 * COST },
  { h: 73, name: 'a result of another session', output: whole(INIT, ...MIDDLE, resultWith({ session_id: 'other' })) },
  {
    h: 74,
    name: 'a cost that is no number',
    output: whole(INIT, ...MIDDLE, RESULT.replace(COSTS, '"$1":"NaN"')),
    costUsd: null,
  },
  {
    h: 74,
    name: 'a cost of 1e400',
    output: whole(INIT, ...MIDDLE, RESULT.replace(COSTS, '"$1":1e400')),
    costUsd: null,
  },
  {
    h: 75,
    name: 'a negative duration',
    output: whole(INIT, ...MIDDLE, resultWith({ duration_ms: -5, num_turns: -1 })),
  },
  {
    h: 76,
    name: 'a secret',
    shell: `cat "$HERE/head"; echo "key=$ANTHROPIC_API_KEY"; cat "$HERE/tail"`,
    shows: 'key=',
    hides: [API_KEY],
  },
  {
    h: 77,
    name: 'a secret in base64',
    shell: `cat "$HERE/head"; printf %s "$ANTHROPIC_API_KEY" | base64; cat "$HERE/tail"`,
    hides: [Buffer.from(API_KEY).toString('base64')],
  },
  {
    h: 78,
    name: 'a secret in two chunks',
    shell: `cat "$HERE/head"; printf 'key=%.12s' "$ANTHROPIC_API_KEY"; sleep 0.3; printf '%s\\n' "$(printf %s "$ANTHROPIC_API_KEY" | cut -c13-)"; cat "$HERE/tail"`,
    shows: 'key=',
    hides: [API_KEY, API_KEY.slice(12)],
  },
  {
    h: 79,
    name: 'commands of others',
    output: during(
      '::set-output name=a::b\n\u001b]8;;http://evil.example\u0007click\u001b]8;;\u0007\n\u001b]52;c;aGk=\u0007',
    ),
    shows: '::set-output name=a::b',
  },
];

const opened = new AsyncDisposableStack();
let stack: TestStack;
let projectId: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-fake-agent-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  for (const [index, { shell, output }] of CASES.entries()) {
    const place = join(folder, `case-${index}`);
    await mkdir(place);
    await writeFile(join(place, 'head'), whole(INIT, ...MIDDLE));
    await writeFile(join(place, 'tail'), whole(RESULT));
    await writeFile(join(place, 'all'), output ?? '');
    await writeFile(join(place, 'print.sh'), `HERE="${place}"\n${shell ?? 'cat "$HERE/all"'}\n`);
  }
  const program = join(folder, 'claude');
  // The prompt names the case. A file is changed, so that there is something to commit.
  await writeFile(
    program,
    `#!/bin/sh
case "$1" in --version) echo "2.1.329 (Claude Code)"; exit 0;; esac
IFS= read -r message
name=$(printf %s "$message" | sed -n 's/.*\\(case-[0-9]*\\).*/\\1/p')
echo "$name" > changed.txt
. "${folder}/$name/print.sh"
`,
  );
  await chmod(program, 0o755);
  stack = opened.use(
    await openTestStack({
      SLIPWAY_CLAUDE_PATH: program,
      ANTHROPIC_API_KEY: API_KEY,
      SLIPWAY_DEFAULT_PROVIDER: 'claude-code',
    }),
  );
  await stack.openWorker(1);
  ({ id: projectId } = await stack.createProject());
});
afterAll(() => opened.disposeAsync());

async function run(index: number) {
  const { orchestrator } = stack;
  const spec = { prompt: `case-${index}`, autoPush: false };
  const { build } = await startBuild(orchestrator, { projectId, spec }, 'test');
  await stack.finished(build.id, 60_000);
  const chunks = await readLog(orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });
  const log = chunks.flatMap((chunk) => chunk.lines.map(({ text }) => text)).join('\n');
  const events = await readEvents(orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });
  return { build: await findBuild(orchestrator.db, build.id), log, events: JSON.stringify(events) };
}

it.each(CASES.map((row, index) => ({ ...row, index })))('H$h: $name', { timeout: 90_000 }, async (row) => {
  const before = process.memoryUsage().rss;
  const { build, log, events } = await run(row.index);
  const grown = (process.memoryUsage().rss - before) / MIB;
  if (row.h === 67) console.log(`H67: a line of 64 MB made the worker grow by ${grown.toFixed()} MiB`);
  expect(grown).toBeLessThan(MAX_GROWTH_MIB);
  expect({ status: build?.status, failure: build?.failure?.reason ?? null }).toEqual({
    status: row.status ?? 'COMPLETED',
    failure: null,
  });
  expect(build?.usage?.costUsd ?? null).toBe(row.costUsd === undefined ? COST : row.costUsd);
  if (row.shows) expect(log).toContain(row.shows);
  for (const secret of row.hides ?? []) expect(log + events).not.toContain(secret);
  expect(log + events).not.toContain('\0');
});

it('names every number that it is about', () => {
  const numbers = new Set(CASES.map(({ h }) => h));
  expect([...numbers]).toEqual(Array.from({ length: 15 }, (_, index) => 65 + index));
});
