/**
 * Hostile inputs as tables. Every row is sent to a `slipway serve` in a process of its own and must get exactly the
 * answer that it names, and after each the process answers a good request. Then all are sent again and again, and one of
 * the rounds makes the process grow by no more than `MAX_GROWTH_MIB`: in the first code is compiled and heaps find their size.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import type { Scope } from '../../src/auth/scope.ts';
import type { Database } from '../../src/database/database.ts';
import { isAlive, startSlipway, upAnswer } from '../cli/slipway-process.ts';
import { openTestDatabase } from '../support/database.ts';

/** A promise, not a figure. */
const MAX_GROWTH_MIB = 50;
/** Of these, one at least makes it grow by no more than that. */
const ROUNDS = 3;
/** Requests before each look at the memory: what is loaded and compiled once is no growth, nor is garbage. */
const SMALL_WORK = 200;
const LARGE_WORK = 30;
/** As large as a request may be. */
const LARGE = { text: 'x'.repeat(1_400_000) };
const GOOD = { query: '{ viewer { name } }' };

export interface HostileTarget {
  /** `http://127.0.0.1:1234` */
  readonly origin: string;
  /** Of the GraphQL endpoint. */
  readonly url: string;
  /** `Bearer slipway_…` of an administrator. */
  readonly authorization: string;
  /** The same database, from this process. */
  readonly db: Database;
  readonly pid: number;
  createToken(rights?: HostileRights): Promise<{ readonly id: string; readonly authorization: string }>;
}

export interface HostileRights {
  readonly scopes?: readonly Scope[];
  readonly projectIds?: readonly string[];
  readonly expiresAt?: Date;
}

export interface HostileCase {
  /** Its number in the list of hostile inputs: H1 to H140. */
  readonly h: number;
  readonly name: string;
  /** Sends it, and gives what is compared: as a rule `{ status, code }`, see `post`. */
  readonly send: (target: HostileTarget) => Promise<unknown>;
  /** Compared with `toMatchObject`. */
  readonly expected: object;
}

export interface HostileTable {
  readonly noun: string;
  readonly cases: readonly HostileCase[];
}

/** Declares the tests of these tables, on one server that is started with this environment. */
export function testHostileInputs(
  tables: readonly HostileTable[],
  environment: Readonly<Record<string, string>> = {},
): void {
  const opened = new AsyncDisposableStack();
  let target: HostileTarget;
  let fresh = 0;

  beforeAll(async () => {
    target = opened.use(await openTarget(environment));
    await work(target);
    fresh = await residentMiB(target.pid);
  });
  afterAll(() => opened.disposeAsync());

  describe.each(tables)('$noun', ({ cases }) => {
    it.each(cases)('H$h: $name', async ({ send, expected }) => {
      expect(await send(target)).toMatchObject(expected);
      await expectWell(target);
    });
  });

  it(`makes a process grow by at most ${MAX_GROWTH_MIB} MiB`, { timeout: 200_000 }, async () => {
    const cases = tables.flatMap((table) => table.cases);
    const sendAll = async () => {
      for (const { send } of cases) await send(target);
      await work(target);
    };
    const sizes = [fresh];
    // What leaks grows every time; where the collector happens to stand, it does not.
    let growth = Number.POSITIVE_INFINITY;
    await sendAll();
    sizes.push(await residentMiB(target.pid));
    for (let round = 0; round < ROUNDS && growth > MAX_GROWTH_MIB; round += 1) {
      await sendAll();
      const size = await residentMiB(target.pid);
      growth = size - (sizes.at(-1) ?? fresh);
      sizes.push(size);
    }
    const grown = sizes.map((size) => `${size.toFixed()} MiB`).join(' -> ');
    console.log(`${cases.length} hostile inputs, ${new Set(cases.map(({ h }) => h)).size} numbers; RSS ${grown}`);
    expect(growth).toBeLessThanOrEqual(MAX_GROWTH_MIB);
  });
}

async function openTarget(environment: Readonly<Record<string, string>>): Promise<HostileTarget & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const { db, url: databaseUrl } = opened.use(await openTestDatabase());
  const dataFolder = await mkdtemp(join(tmpdir(), 'slipway-hostile-'));
  opened.defer(() => rm(dataFolder, { recursive: true, force: true }));
  const server = startSlipway(['serve', '--json'], {
    SLIPWAY_DATABASE_URL: databaseUrl,
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_PORT: '0',
    SLIPWAY_LOG_LEVEL: 'silent',
    // A heap that has to be tidied: what is held for ever ends the process instead of hiding.
    NODE_OPTIONS: '--max-old-space-size=192',
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
    ...environment,
  });
  opened.defer(async () => {
    server.child.kill('SIGKILL');
    await server.ended;
  });
  const { url } = await upAnswer(server);
  let count = 0;
  async function createToken({ scopes = ['admin'], projectIds, expiresAt }: HostileRights = {}) {
    count += 1;
    const rights = { scopes, projectIds: projectIds ?? null, expiresAt: expiresAt ?? null };
    const { id, token } = await createApiToken(db, { name: `hostile ${count}`, createdBy: 'test', ...rights });
    return { id, authorization: `Bearer ${token}` };
  }
  const { authorization } = await createToken();
  const resources = opened.move();
  return {
    origin: new URL(url).origin,
    url,
    authorization,
    db,
    pid: server.pid,
    createToken,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Good requests, large ones among them: what the collector has left until then is collected. */
async function work(target: HostileTarget): Promise<void> {
  for (let count = 0; count < SMALL_WORK; count += 1) await expectWell(target);
  for (let count = 0; count < LARGE_WORK; count += 1) await post(target, { ...GOOD, variables: LARGE });
}

async function expectWell(target: HostileTarget): Promise<void> {
  expect(await post(target, GOOD)).toMatchObject({ status: 200, data: { viewer: { name: 'hostile 1' } } });
}

async function residentMiB(pid: number): Promise<number> {
  expect(await isAlive(pid)).toBe(true);
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

export interface HostileAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the first error; a problem's `title` where the answer is no GraphQL. */
  readonly code: unknown;
  readonly errors: readonly { readonly message: string; readonly extensions: Readonly<Record<string, unknown>> }[];
  readonly data: ReturnType<typeof JSON.parse>;
  readonly text: string;
}

export interface HostilePost {
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly path?: string;
}

/** Sends a body, an object as JSON, with the administrator's token unless `headers` say otherwise. */
export async function post(
  target: HostileTarget,
  body: object | string | Buffer | null,
  { headers = {}, method = 'POST', path = '/graphql' }: HostilePost = {},
): Promise<HostileAnswer> {
  const isRaw = body === null || typeof body === 'string' || Buffer.isBuffer(body);
  const response = await fetch(`${target.origin}${path}`, {
    method,
    headers: { 'content-type': 'application/json', authorization: target.authorization, ...headers },
    body: isRaw ? (body as string | null) : JSON.stringify(body),
    redirect: 'manual',
    signal: AbortSignal.timeout(30_000),
  });
  return readHostileAnswer(response.status, Object.fromEntries(response.headers), await response.text());
}

export function readHostileAnswer(
  status: number,
  headers: Readonly<Record<string, string>>,
  text: string,
): HostileAnswer {
  const json = parse(text);
  const errors: HostileAnswer['errors'] = json?.errors ?? [];
  return { status, headers, code: errors[0]?.extensions?.code ?? json?.title, errors, data: json?.data, text };
}

function parse(text: string): ReturnType<typeof JSON.parse> {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
