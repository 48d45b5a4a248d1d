/** A one-time token for a token of this machine's own, which `slipway work --server` then uses. */
import { randomBytes } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { readConfig } from '../config/config.ts';
import { VERSION } from '../std/version.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { createOutput } from './output.ts';
import { readSecret } from './read-secret.ts';
import { workerTokenFile } from './token-file.ts';

export interface WorkerEnrolFlags {
  readonly server: string;
  readonly data?: string;
  readonly name?: string;
  readonly capacity?: number;
  readonly valueFile?: string;
  readonly valueEnv?: string;
  readonly replace?: boolean;
  readonly json?: boolean;
}

const MAX_TRIES = 5;
const TRY_AGAIN_MS = 1_000;
const ANSWER_WITHIN_MS = 10_000;

const answer = z.object({ token: z.string(), tokenId: z.string() });
const problem = z.object({ detail: z.string(), code: z.string().default('REFUSED') });

/** What is asked; the nonce is the same when the command is run again because the answer was lost. */
interface Asked {
  readonly url: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export async function workerEnrol(io: Io, flags: WorkerEnrolFlags): Promise<ExitCode> {
  const config = readConfig(io.environment, { dataFolder: flags.data, workerName: flags.name });
  const url = enrolmentUrl(flags.server);
  const file = workerTokenFile(config.dataFolder);
  if (!flags.replace && (await isThere(file))) {
    const hints = [`It is in ${file}. With --replace another one takes its place.`];
    throw new CliError('This machine has a token already.', { code: 'CONFLICT', hints });
  }
  const token = await readSecret(io, flags);
  await mkdir(config.dataFolder, { recursive: true });
  const nonceFile = `${file}.nonce`;
  const body = {
    token,
    nonce: await keepNonce(nonceFile),
    name: config.workerName ?? hostname(),
    version: VERSION,
    capacity: flags.capacity ?? config.workerCapacity,
    labels: config.workerLabels,
  };
  const { token: own, tokenId } = await ask({ url, body });
  await writeSecret(file, own);
  await rm(nonceFile, { force: true });
  const output = createOutput(io, flags);
  if (output.json) output.value({ tokenId, tokenFile: file });
  else {
    output.line(`This machine has the token ${tokenId} now: ${file}`);
    output.note(`Start its worker: slipway work --server ${flags.server} --token-file ${file}`);
  }
  return EXIT.done;
}

/** With or without the path of the API. */
function enrolmentUrl(server: string): string {
  const url = URL.parse(server);
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new CliError(`${server} is not the URL of a server.`, { code: 'INVALID_INPUT' });
  }
  const base = url.pathname.replace(/\/(graphql\/?)?$/, '');
  return `${url.origin}${base}/workers/enrol`;
}

/** Tries again where nothing was answered: the server gives the same nonce the same token. */
async function ask({ url, body }: Asked): Promise<z.output<typeof answer>> {
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    }).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
    if (!(response instanceof Error) && response.status < 500) return readAnswer(response);
    if (tries === MAX_TRIES) {
      const why = response instanceof Error ? response.message : `it answers with ${response.status}`;
      throw new CliError(`The server cannot be reached at ${url}: ${why}.`, {
        code: 'UNREACHABLE',
        hints: ['Run the same command again within ten minutes: the one-time token still works for this machine.'],
      });
    }
    await delay(TRY_AGAIN_MS);
  }
}

async function readAnswer(response: Response): Promise<z.output<typeof answer>> {
  const json: unknown = await response.json().catch(() => null);
  const given = answer.safeParse(json);
  if (response.ok && given.success) return given.data;
  const { detail, code } = problem.safeParse(json).data ?? {
    detail: `The server answered with ${response.status}, and not as Slipway does.`,
    code: 'REFUSED',
  };
  throw new CliError(detail, { code, exitCode: response.status === 401 ? EXIT.notAllowed : EXIT.error });
}

async function keepNonce(file: string): Promise<string> {
  const kept = await readFile(file, 'utf8').catch(() => '');
  if (/^[A-Za-z0-9_-]{43}\n$/.test(kept)) return kept.trim();
  const nonce = randomBytes(32).toString('base64url');
  await writeSecret(file, nonce);
  return nonce;
}

/** All of it or nothing, for its owner only. */
async function writeSecret(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, `${text}\n`, { mode: 0o600, flag: 'wx', flush: true });
  await rename(draft, file);
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
