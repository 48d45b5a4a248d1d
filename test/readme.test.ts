/** Every example of the README runs, in its order, against a real server. */
import { execFileSync, spawn } from 'node:child_process';
import { type OperationDefinitionNode, parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BuildFailure } from '../src/builds/build-result.ts';
import { CallbackDelivery } from '../src/callbacks/deliver-callbacks.ts';
import { fromPublicId, toPublicId } from '../src/std/public-id.ts';
import { runCommand } from './cli/run-command.ts';
import { openTestApi, type TestApi } from './support/api.ts';
import { openTestStack, type TestStack } from './support/orchestrator.ts';
import { FENCES, type Fence, ROOT } from './support/readme.ts';
import { waitFor } from './support/wait-for.ts';

const STEPS = FENCES.filter(({ role }) => role !== null);

describe('the examples', () => {
  let stack: TestStack;
  let api: TestApi;
  let callbacks: CallbackDelivery;
  /** Ids and the secret that mutations gave, by their kind: what `$project`, `$build` and `$token` stand for. */
  const known: Record<string, string> = {};
  const answers = new Map<string, unknown>();
  const running = new AbortController();
  let receiver: { readonly port: string; readonly printed: () => string } | null = null;

  beforeAll(async () => {
    stack = await openTestStack({ SLIPWAY_DEFAULT_PROVIDER: 'claude-code' });
    await stack.openWorker(4);
    callbacks = new CallbackDelivery(stack.orchestrator);
    callbacks.open();
    api = await openTestApi(stack);
  });

  afterAll(async () => {
    running.abort();
    await api?.[Symbol.asyncDispose]();
    await callbacks?.[Symbol.asyncDispose]();
    await stack?.[Symbol.asyncDispose]();
  });

  const environment = () => ({
    PATH: process.env.PATH ?? '',
    SLIPWAY_URL: api.url,
    SLIPWAY_TOKEN: api.token,
    PROJECT: known.project ?? '',
    BUILD: known.build ?? '',
    CALLBACK_SECRET: known.callbackSecret ?? '',
    PORT: '0',
  });

  test.each(STEPS)(
    '$role $name ($language)',
    async (step) => {
      if (step.role === 'answer') return expectAnswer(step);
      answers.set(step.name, await RUN[step.language]?.(step));
      expect(answers.get(step.name), `nothing runs ${step.language}`).toBeDefined();
    },
    60_000,
  );

  const RUN: Record<string, (step: Fence) => Promise<unknown>> = {
    graphql: ({ content, name }) => runOperation(content, answerOf(name)),
    sh: ({ content, name }) => (content.startsWith('curl') ? runCurl(content, answerOf(name)) : runCommands(content)),
    js: ({ content }) => runProgram(content),
    markdown: ({ content }) => runPrompt(content),
  };

  async function send(body: object, accept = 'application/json'): Promise<Response> {
    const headers = { authorization: `Bearer ${api.token}`, 'content-type': 'application/json', accept };
    return fetch(api.url, { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(20_000) });
  }

  async function runOperation(source: string, expected: unknown): Promise<unknown> {
    const query = source.replace('http://127.0.0.1:8080', `http://127.0.0.1:${receiver?.port}`);
    const [operation] = parse(query).definitions as OperationDefinitionNode[];
    const names = operation?.variableDefinitions?.map(({ variable }) => variable.name.value) ?? [];
    if (names.includes('question')) known.question = await openQuestion();
    if (names.includes('worker')) known.worker = await ourWorker();
    for (const name of names) expect(known[name], `no example before has given a ${name}`).toBeDefined();
    const body = { query, variables: Object.fromEntries(names.map((name) => [name, known[name]])) };
    if (operation?.operation === 'subscription') return firstEvent(await send(body, 'text/event-stream'));
    return accepted(await (await send(body)).json(), expected, operation?.operation === 'mutation');
  }

  /** What the agent asks that nobody has answered yet. */
  async function openQuestion(): Promise<string> {
    const questions = stack.orchestrator.db.selectFrom('build_questions').select('id').where('state', '=', 'OPEN');
    const { id } = await waitFor(() => questions.executeTakeFirst(), { what: 'a question' });
    return toPublicId('question', id);
  }

  async function ourWorker(): Promise<string> {
    const workers = stack.orchestrator.db.selectFrom('workers').select('id').where('stopped_at', 'is', null);
    return toPublicId('worker', (await workers.executeTakeFirstOrThrow()).id);
  }

  /** The data, without errors and refusals but those that the README shows. */
  function accepted(answer: unknown, expected: unknown, isMutation: boolean): unknown {
    expect(answer).not.toHaveProperty('errors');
    const { data } = answer as { readonly data: Record<string, { readonly __typename?: string }> };
    if (!isMutation) return data;
    if (expected === undefined) {
      for (const result of Object.values(data)) expect(result.__typename, JSON.stringify(result)).toMatch(/Payload$/);
    }
    const json = JSON.stringify(data);
    for (const [, id = '', kind = ''] of json.matchAll(/"id":"((\w+)_[0-9a-f]{32})"/g)) known[kind] = id;
    known.callbackSecret = /"callbackSecret":"([^"]+)"/.exec(json)?.[1] ?? known.callbackSecret ?? '';
    return data;
  }

  async function firstEvent(response: Response): Promise<unknown> {
    let received = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      received += chunk;
      const data = /^event: next\ndata: (.*)$/m.exec(received)?.[1];
      if (data) return accepted(JSON.parse(data), undefined, false);
    }
    throw new Error(`There was no event: ${received}`);
  }

  async function runCurl(block: string, expected: unknown): Promise<unknown> {
    const [args = []] = shellWords('curl', block);
    const { body, headers } = readCurl(args);
    expect(headers.authorization).toBe(`Bearer ${api.token}`);
    if (body !== '') expect(headers['content-type']).toBe('application/json');
    const url = args[0]?.startsWith('--') ? args[1] : args[0];
    if (url !== api.url) return runRest(url ?? '', { body, headers }, expected);
    const response = await send(JSON.parse(body) as object, headers.accept);
    if (headers.accept !== 'text/event-stream') return accepted(await response.json(), expected, true);
    const events = await response.text();
    expect(events).toContain('event: complete');
    expectEvents(events, 11);
    return events;
  }

  /** What REST answers: a problem only where the README shows one. */
  async function runRest(url: string, { body, headers }: ReturnType<typeof readCurl>, expected: unknown) {
    expect(url).toMatch(new RegExp(`^${api.url.replace('/graphql', '')}/`));
    const response = await fetch(url, body === '' ? { headers } : { method: 'POST', headers, body });
    const answer = (await response.json()) as Record<string, unknown>;
    expect(response.ok, JSON.stringify(answer)).toBe(expected === undefined);
    return answer;
  }

  /** The words of each call of `command`, as a shell reads them. */
  function shellWords(command: string, block: string): string[][] {
    const source = `${command}() { printf '%s\\0' "$@" ''; }\n${block}`;
    const printed = execFileSync('sh', ['-euc', source], { env: environment(), encoding: 'utf8' });
    return printed
      .split('\0\0')
      .filter(Boolean)
      .map((words) => words.split('\0'));
  }

  async function runCommands(block: string): Promise<unknown> {
    const printed: string[] = [];
    for (const [run, slipway, dashes, ...args] of shellWords('npm', block)) {
      expect([run, slipway, dashes]).toEqual(['run', 'slipway', '--']);
      const { exitCode, stdout, stderr } = await runCommand(args, { environment: environment() });
      expect(exitCode, `${args.join(' ')}: ${stderr}`).toBe(0);
      printed.push(stdout);
    }
    return printed;
  }

  async function runProgram(source: string): Promise<string> {
    const child = spawn(process.execPath, ['--input-type=module'], { cwd: ROOT, env: environment() });
    const printed = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        printed[name] += chunk;
      });
    }
    running.signal.addEventListener('abort', () => child.kill());
    child.stdin.end(source);
    const ended = () => (child.exitCode ?? child.signalCode) !== null;
    const listening = () => /^listening on (\d+)$/m.exec(printed.stdout)?.[1];
    await waitFor(() => ended() || listening(), { deadlineMs: 20_000, what: 'the program' });
    const port = listening();
    if (port) receiver = { port, printed: () => printed.stdout };
    else {
      expect({ exitCode: child.exitCode, stderr: printed.stderr }).toEqual({ exitCode: 0, stderr: '' });
      expectEvents(printed.stdout, 1);
    }
    return printed.stdout;
  }

  /** Numbered from `first` on without a gap, to the end. */
  function expectEvents(printed: string, first: number): void {
    const cursors = [...printed.matchAll(/(?:"cursor":"|^)(\d+)\b/gm)].map(([, cursor]) => Number(cursor));
    expect(cursors).toEqual(cursors.map((_, index) => first + index));
    expect(cursors.length).toBeGreaterThan(5);
    expect(printed).toContain('FINISHED');
  }

  async function runPrompt(prompt: string): Promise<unknown> {
    const query = `mutation ($project: ID!, $prompt: String!) {
      startBuild(input: { projectId: $project, spec: { prompt: $prompt } }) {
        __typename
        ... on StartBuildPayload { build { id } }
      }
    }`;
    accepted(await (await send({ query, variables: { project: known.project, prompt } })).json(), undefined, true);
    const build = await stack.finished(fromPublicId('build', known.build ?? '') ?? '');
    expect(build).toMatchObject({ status: 'COMPLETED', result: { filesChanged: [{ path: 'price.txt' }] } });
    return build.result;
  }

  function answerOf(name: string): unknown {
    const shown = FENCES.find((fence) => fence.role === 'answer' && fence.name === name);
    return shown && JSON.parse(shown.content);
  }

  async function expectAnswer({ name }: Fence): Promise<void> {
    const given = name === 'receiver' ? await receivedCallback() : answers.get(name);
    expect(withoutChance(given)).toEqual(withoutChance(answerOf(name)));
  }

  async function receivedCallback(): Promise<unknown> {
    const line = await waitFor(() => /^\{.*\}$/m.exec(receiver?.printed() ?? '')?.[0], { what: 'the callback' });
    return JSON.parse(line);
  }

  test('every build ends as the README says', async () => {
    const { db } = stack.orchestrator;
    const ends = await waitFor(
      async () => {
        const builds = await db.selectFrom('build_audit').select(['status', 'failure', 'finished_at']).execute();
        return builds.every((build) => build.finished_at) ? builds : null;
      },
      { deadlineMs: 20_000, what: 'the end of all builds' },
    );
    const said = ends.map(({ status, failure }) => (failure as BuildFailure | null)?.reason ?? status).sort();
    expect(said).toEqual(['CANCELLED', ...Array(8).fill('COMPLETED'), 'NO_CHANGES', 'NO_CHANGES']);
  });

  test('every example is run', () => {
    const idle = FENCES.filter(({ role }) => role === null);
    expect(idle.filter(({ language }) => language !== 'sh' && language !== 'text')).toEqual([]);
    expect(idle.filter(({ content }) => content.includes('curl'))).toEqual([]);
    const names = STEPS.filter(({ role }) => role === 'test').map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(20);
    expect(STEPS.filter(({ role, name }) => role === 'answer' && !names.includes(name))).toEqual([]);
  });
});

/** The flags that examples use. Anything else is a mistake of the README. */
function readCurl(args: readonly string[]): { readonly body: string; readonly headers: Record<string, string> } {
  const headers: Record<string, string> = {};
  let body = '';
  const words = args.filter((word) => word !== '--no-buffer').slice(1);
  for (let index = 0; index < words.length; index += 2) {
    const [flag, value = ''] = words.slice(index, index + 2);
    if (flag === '-H') headers[value.slice(0, value.indexOf(':')).toLowerCase()] = value.slice(value.indexOf(':') + 2);
    else if (flag === '-d') body = value;
    else throw new Error(`The test does not know curl ${flag}.`);
  }
  return { body, headers };
}

/** Ids, hashes, secrets and durations differ from run to run. */
function withoutChance(value: unknown): unknown {
  const json = (JSON.stringify(value) ?? 'null')
    .replace(/_[0-9a-f]{32}\b/g, '_…')
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'uuid')
    .replace(/\b[0-9a-f]{40}\b/g, 'sha')
    .replace(/\b[0-9a-f]{32}\b/g, 'trace')
    .replace(/whsec_[\w+/=]+/g, 'whsec_…')
    .replace(/("duration_?[mM]s"):\d+/g, '$1:0');
  return JSON.parse(json);
}
