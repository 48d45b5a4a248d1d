/** Runs git with an environment and a configuration of ours only, and says what kind of failure it met. */
import type { LookupFunction } from 'node:net';
import type { CommandResult, Workspace } from '../runtimes/runtime.ts';
import { askpassEnvironment, type GitCredentials } from './askpass.ts';
import { followRedirect } from './follow-redirect.ts';
import { type GitFailure, type GitFailureKind, gitFailure } from './git-failure.ts';
import { findRoute } from './remote-route.ts';
import { isLocalPath } from './remote-url.ts';

export interface GitRemote {
  /** Accepted by `repositoryUrlProblem`. */
  readonly url: string;
  /** Only used for http and https. */
  readonly credentials: GitCredentials | null;
}

export interface GitContext {
  readonly workspace: Pick<Workspace, 'exec' | 'paths'>;
  readonly remote: GitRemote;
  readonly signal: AbortSignal;
  /** Of each single git command. */
  readonly timeoutMs: number;
  /** The machine's variables; git gets those of them that `MACHINE_VARIABLES` names. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Remotes may be on this machine, at an address such as 127.0.0.1. Paths are always fine. */
  readonly allowLocal?: boolean;
  /** In place of the system's name look-up, for remotes over HTTP. */
  readonly lookup?: LookupFunction;
}

export interface GitOutput {
  readonly ok: true;
  /** 0, or one of `accept`. */
  readonly exitCode: number;
  readonly stdout: Buffer;
  /** The last 64 KiB. */
  readonly stderr: string;
}

export interface GitOptions {
  /** The repository; default is the workspace's trusted one. */
  readonly gitDir?: string;
  /** Gives git the checkout to read or write. Otherwise it has no work tree. */
  readonly workTree?: boolean;
  /** Gives git the credentials of the remote. */
  readonly remote?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  /** Exit codes besides 0 that are an answer and not a failure. */
  readonly accept?: readonly number[];
  readonly maxOutputBytes?: number;
  /** More output than `maxOutputBytes` is cut, and no failure. */
  readonly cut?: boolean;
}

const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
/** What git needs to know of the machine: where programs, proxies, certificates and the ssh agent are. */
const MACHINE_VARIABLES = [
  'PATH',
  'SSH_AUTH_SOCK',
  ...PROXY_VARIABLES,
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO'],
];
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin';
const DEFAULT_MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Nothing is run on git's behalf, nothing is stored, nothing happens in the background. */
const CONFIG = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.attributesFile=/dev/null',
  'core.excludesFile=/dev/null',
  'core.autocrlf=false',
  'core.quotePath=false',
  'core.splitIndex=false',
  // Names that are `.git` on other systems, too.
  'core.protectHFS=true',
  'core.protectNTFS=true',
  // Larger files are treated as binary and streamed: git's memory stays small.
  'core.bigFileThreshold=32m',
  'credential.helper=',
  'commit.gpgSign=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'submodule.recurse=false',
  // One pack for each fetch: a cache never fills up with loose objects.
  'fetch.unpackLimit=1',
  // A redirect is followed by us, after a look at where it leads.
  'http.followRedirects=false',
].flatMap((setting) => ['-c', setting]);

/**
 * Runs `git <args>`. Every failure is an answer: a bad exit code, the time limit, an abort, more output than
 * `maxOutputBytes` (FILE_LIMIT), git missing (OTHER).
 */
export async function git(
  context: GitContext,
  args: readonly string[],
  options: GitOptions = {},
): Promise<GitOutput | GitFailure> {
  const { url } = context.remote;
  if (!options.remote || isLocalPath(url)) return run(context, args, options);
  const route = await findRoute(context, url);
  if (!route.ok) return route;
  const ran = await run(context, args, withSettings(options, route.settings));
  if (ran.ok || ran.kind !== 'MOVED') return ran;
  const moved = await followRedirect(context);
  if (!moved.ok) return moved;
  const there = await findRoute(context, moved.url);
  if (!there.ok) return there;
  return run(context, args, withSettings(options, { ...there.settings, [`url.${moved.url}.insteadOf`]: url }));
}

/** In the environment: a URL may hold the signs that part names and values in an argument. */
function withSettings(options: GitOptions, settings: Readonly<Record<string, string>>): GitOptions {
  const entries = Object.entries(settings);
  const env = entries.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key] as const,
    [`GIT_CONFIG_VALUE_${index}`, value] as const,
  ]);
  return { ...options, env: { ...options.env, GIT_CONFIG_COUNT: String(entries.length), ...Object.fromEntries(env) } };
}

async function run(context: GitContext, args: readonly string[], options: GitOptions): Promise<GitOutput | GitFailure> {
  const { workspace, signal, timeoutMs } = context;
  const maxOutputBytes = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  let result: CommandResult;
  try {
    result = await workspace.exec({
      argv: ['git', ...CONFIG, ...args],
      cwd: options.workTree ? workspace.paths.work : workspace.paths.root,
      env: environment(context, options),
      ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
      timeoutMs,
      maxOutputBytes,
      signal,
    });
  } catch (error) {
    return gitFailure('OTHER', `git could not be started: ${withoutSecrets(context, String(error))}`);
  }
  if (result.aborted) return gitFailure('ABORTED', 'git was stopped.');
  if (result.timedOut) return gitFailure('TIMEOUT', `git took longer than ${Math.round(timeoutMs / 1000)} s.`);
  if (result.truncated && options.cut) return { ok: true, exitCode: 0, stdout: result.stdout, stderr: result.stderr };
  if (result.truncated) return gitFailure('FILE_LIMIT', `git printed more than ${maxOutputBytes} bytes.`);
  const { exitCode, stdout, stderr } = result;
  if (exitCode === null) return gitFailure('ABORTED', 'git was ended from outside.');
  if (exitCode === 0 || options.accept?.includes(exitCode)) {
    return { ok: true, exitCode, stdout, stderr };
  }
  return failureFromStderr(context, stderr);
}

/** Text that git or a remote printed, fit to be shown: no credentials, no control characters. */
export function withoutSecrets(context: GitContext, text: string): string {
  const { credentials } = context.remote;
  let shown = text;
  if (credentials !== null) {
    const { username, password } = credentials;
    // A short name is no secret, but some hosts take a token in its place.
    const secrets = username.length >= 16 ? [password, username] : [password];
    const pair = Buffer.from(`${username}:${password}`).toString('base64');
    for (const secret of [pair, ...secrets.flatMap((plain) => [plain, encodeURIComponent(plain)])]) {
      if (secret !== '') shown = shown.replaceAll(secret, '***');
    }
  }
  return shown.replaceAll(/\p{Cc}+/gu, ' ').trim();
}

/** Those of this machine's variables that mean the same on another one: paths do not. */
export function proxyVariables(environment: GitContext['environment'] = {}): Record<string, string> {
  return pick(environment, PROXY_VARIABLES);
}

function pick(environment: NonNullable<GitContext['environment']>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

function environment(context: GitContext, options: GitOptions): Record<string, string> {
  const { paths } = context.workspace;
  const { url, credentials } = context.remote;
  return {
    PATH: DEFAULT_PATH,
    ...pick(context.environment ?? {}, MACHINE_VARIABLES),
    LC_ALL: 'C',
    // Nothing can ever lie in it: no .netrc, no .config/git.
    HOME: '/dev/null',
    GIT_DIR: options.gitDir ?? paths.git,
    ...(options.workTree ? { GIT_WORK_TREE: paths.work } : {}),
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_ALLOW_PROTOCOL: isLocalPath(url) ? 'file' : 'https:http:ssh',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new -oProxyCommand=none',
    ...(options.remote ? askpassEnvironment(url, credentials) : {}),
    ...options.env,
  };
}

/** The first that matches decides. */
const PATTERNS: readonly (readonly [RegExp, GitFailureKind, string])[] = [
  [
    /returned error: 30[12378]/,
    'MOVED',
    'The remote has moved: set the repository URL of the project to its new address',
  ],
  [/not our ref|unadvertised object/, 'STALE', 'The branch moved meanwhile'],
  [
    /Authentication failed|could not read (?:Username|Password)|Permission denied \(|Host key verification failed|returned error: 40[13]|HTTP 40[13]/,
    'AUTH',
    'The remote did not accept the credentials',
  ],
  [
    /[Rr]epository .*not found|does not appear to be a git repository|returned error: 404|HTTP 404/,
    'NOT_FOUND',
    'The remote has no such repository',
  ],
  [
    /Could not resolve|[Cc]onnection (?:refused|reset|timed out|closed)|[Cc]ouldn't connect|Failed to connect|unable to access|RPC failed|returned error: (?:5\d\d|429)|early EOF|hung up|Could not read from remote|unexpected disconnect/,
    'UNREACHABLE',
    'The remote could not be reached',
  ],
];

/** What git's words on stderr mean. */
export function failureFromStderr(context: GitContext, stderr: string): GitFailure {
  const found = PATTERNS.find(([pattern]) => pattern.test(stderr));
  const [, kind, summary] = found ?? [/./, 'OTHER' as const, 'git failed'];
  const lines = stderr.split('\n');
  const detail = lines.find((line) => /^(?:fatal|error|ERROR): /.test(line)) ?? lines.find((line) => line !== '');
  return gitFailure(kind, detail === undefined ? `${summary}.` : `${summary}: ${withoutSecrets(context, detail)}`);
}
