/** One row per option: parsing, `slipway help config` and the README's table all come from here. */

import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { parseFailpoints } from '../std/failpoint.ts';
import { LOG_LEVELS } from '../std/log-level.ts';
import { ALL_OF_THE_NETWORK, hostPatternProblem, MAX_HOSTS, type NetworkAccess } from '../std/network-access.ts';
import { acpAgents } from './acp-agents.ts';
import { KUBERNETES_OPTIONS } from './kubernetes-options.ts';
import { opencodeProviders } from './opencode-providers.ts';
import { integer, list, type Option, option, optional, text } from './option.ts';
import { TELEMETRY_OPTIONS } from './telemetry-options.ts';
import { workerLabels } from './worker-labels.ts';

const flag = z
  .enum(['true', 'false', '1', '0'])
  .transform((value) => value === 'true' || value === '1')
  .optional();
const failpoints = z
  .string()
  .default('')
  .transform((value, context) => {
    try {
      return parseFailpoints(value);
    } catch (error) {
      context.addIssue(error instanceof Error ? error.message : String(error));
      return z.NEVER;
    }
  });

const paths = list.refine(
  (found) => found.every((path) => isAbsolute(path) && path !== '/'),
  'must be absolute paths, and not /',
);
const network = z
  .string()
  .superRefine((text, context) => {
    const { hosts } = toNetwork(text);
    const problem = hosts.map(hostPatternProblem).find((found) => found !== null);
    if (problem) context.addIssue({ code: 'custom', message: `each ${problem}` });
    if (hosts.length > MAX_HOSTS) context.addIssue({ code: 'custom', message: `at most ${MAX_HOSTS} hosts` });
  })
  .transform(toNetwork)
  .default(ALL_OF_THE_NETWORK);

function toNetwork(text: string): NetworkAccess {
  const access = text.trim().toUpperCase();
  if (access === 'ALL' || access === 'NONE') return { access, hosts: [] };
  return { access: 'HOSTS', hosts: text.split(',').map((host) => host.trim()) };
}

export const OPTIONS = {
  dataFolder: option(
    'SLIPWAY_DATA',
    text('.slipway'),
    '.slipway',
    'Folder for the embedded Postgres, managed repositories, workspaces, artifacts and the master key.',
  ),
  databaseUrl: option(
    'SLIPWAY_DATABASE_URL',
    optional,
    'embedded',
    'A Postgres 15 or newer, or a pooler such as PgBouncer before it: then set SLIPWAY_DATABASE_DIRECT_URL, too.',
    true,
  ),
  databaseDirectUrl: option(
    'SLIPWAY_DATABASE_DIRECT_URL',
    optional,
    'SLIPWAY_DATABASE_URL',
    'The same database without the pooler: for LISTEN, heartbeats and migrations.',
    true,
  ),
  databasePool: option(
    'SLIPWAY_DATABASE_POOL',
    integer(20, 4, 500),
    '20',
    'Database connections of one process, at most.',
  ),
  minFreeMb: option(
    'SLIPWAY_MIN_FREE_MB',
    z
      .string()
      .regex(/^\d{1,9}$/, 'must be a whole number')
      .transform(Number)
      .optional(),
    '5 % of the disk, 1024 at most',
    'Megabytes that stay free where the data folder is: with less, the worker claims no builds and the API takes none.',
  ),
  host: option('SLIPWAY_HOST', text('127.0.0.1'), '127.0.0.1', 'Address to listen on.'),
  port: option('SLIPWAY_PORT', integer(4400, 0, 65_535), '4400', 'Port to listen on; 0 takes a free one.'),
  workerPort: option(
    'SLIPWAY_WORKER_PORT',
    z.string().regex(/^\d+$/, 'must be a whole number').transform(Number).pipe(z.number().max(65_535)).optional(),
    'none',
    'Where `slipway work` answers /healthz, /readyz and, beside the database, /metrics, on SLIPWAY_HOST; 0 takes a free port. The API has them on its own.',
  ),
  publicUrl: option(
    'SLIPWAY_PUBLIC_URL',
    z.url().optional(),
    'http://HOST:PORT',
    'How clients reach this server; artifact links start with it.',
  ),
  allowedOrigins: option(
    'SLIPWAY_ALLOWED_ORIGINS',
    list,
    'none',
    'Web origins that may call the API from a browser, comma-separated.',
  ),
  introspection: option('SLIPWAY_INTROSPECTION', flag, 'true in `up`', 'GraphQL introspection.'),
  graphiql: option('SLIPWAY_GRAPHIQL', flag, 'true in `up`', 'GraphiQL on /graphql.'),
  rateLimit: option(
    'SLIPWAY_RATE_LIMIT',
    integer(300_000, 0, 1_000_000_000).refine(
      (points) => points === 0 || points >= 10_000,
      'must be 0 or at least 10000',
    ),
    '300000',
    'Points that a token may spend in a minute: a field of an object costs one, a mutation ten more; 0 for any number.',
  ),
  refusedPerMinute: option(
    'SLIPWAY_REFUSED_PER_MINUTE',
    integer(600, 0, 1_000_000),
    '600',
    'Requests without a valid token that one address may send in a minute; 0 for any number.',
  ),
  socketsPerToken: option(
    'SLIPWAY_SOCKETS_PER_TOKEN',
    integer(200, 1, 10_000),
    '200',
    'WebSockets that one token may have open at one process.',
  ),
  operationsPerToken: option(
    'SLIPWAY_OPERATIONS_PER_TOKEN',
    integer(2_000, 1, 100_000),
    '2000',
    'Operations that one token may have open at one process, its subscriptions among them.',
  ),
  logLevel: option('SLIPWAY_LOG_LEVEL', z.enum(LOG_LEVELS).default('info'), 'info', `One of ${LOG_LEVELS.join(', ')}.`),
  masterKey: option(
    'SLIPWAY_MASTER_KEY',
    z.base64().optional(),
    'DATA/master.key',
    '32 bytes in base64: seals credentials and derives callback secrets. Made on first use where it is not given.',
    true,
  ),
  previousMasterKeys: option(
    'SLIPWAY_PREVIOUS_MASTER_KEYS',
    list,
    'none',
    'Older master keys, newest first, comma-separated: they still open what is not sealed with the new one yet.',
    true,
  ),
  defaultProvider: option(
    'SLIPWAY_DEFAULT_PROVIDER',
    optional,
    'claude-code',
    'The agent of builds and projects that name none; by default the first that Slipway knows.',
  ),
  claudePath: option('SLIPWAY_CLAUDE_PATH', text('claude'), 'claude', 'The Claude Code program.'),
  anthropicApiKey: option(
    'ANTHROPIC_API_KEY',
    optional,
    '',
    'Your key for Claude Code; given to the agent and to nothing else.',
    true,
  ),
  anthropicBaseUrl: option('ANTHROPIC_BASE_URL', z.url().optional(), '', 'Another address of the Anthropic API.'),
  codexPath: option('SLIPWAY_CODEX_PATH', text('codex'), 'codex', 'The Codex program.'),
  openaiApiKey: option(
    'OPENAI_API_KEY',
    optional,
    '',
    'Your key for Codex; given to the agent and to nothing else.',
    true,
  ),
  openaiBaseUrl: option(
    'OPENAI_BASE_URL',
    z.url().optional(),
    '',
    'Another address of the OpenAI API, such as `https://gateway.example.com/v1`.',
  ),
  geminiPath: option('SLIPWAY_GEMINI_PATH', text('gemini'), 'gemini', 'The Gemini CLI program.'),
  geminiApiKey: option(
    'GEMINI_API_KEY',
    optional,
    '',
    'Your key for Gemini CLI; given to the agent and to nothing else.',
    true,
  ),
  geminiBaseUrl: option('GOOGLE_GEMINI_BASE_URL', z.url().optional(), '', 'Another address of the Gemini API.'),
  opencodePath: option('SLIPWAY_OPENCODE_PATH', text('opencode'), 'opencode', 'The OpenCode program.'),
  opencodeModel: option(
    'SLIPWAY_OPENCODE_MODEL',
    z
      .string()
      .regex(/^[^/]+\/.+$/, 'must be provider/model')
      .optional(),
    '',
    'The model of OpenCode builds that name none: `provider/model`, such as `anthropic/claude-sonnet-4-5`.',
  ),
  opencodeProviders: option(
    'SLIPWAY_OPENCODE_PROVIDERS',
    opencodeProviders,
    '{}',
    'Providers of OpenCode besides `anthropic` and `openai`, in its own words: `{"ollama": {"npm": "@ai-sdk/openai-compatible", ' +
      '"options": {"baseURL": "http://127.0.0.1:11434/v1"}}}` makes `ollama/qwen3` a model. Without keys.',
  ),
  opencodeApiKey: option(
    'OPENCODE_API_KEY',
    optional,
    '',
    'Your key for the models of OpenCode that are neither of `anthropic` nor of `openai`, which have the keys above.',
    true,
  ),
  acpAgents: option(
    'SLIPWAY_ACP_AGENTS',
    acpAgents,
    '{}',
    'Programs that speak the Agent Client Protocol, each the provider `acp:NAME`, as JSON: `{"NAME": ["program", "argument", …]}`. ' +
      'One with a key: `{"NAME": {"command": […], "keyVariable": "X_API_KEY", "baseUrlVariable": "X_BASE_URL", "reaches": ["api.x.com:443"]}}`; ' +
      'its key and the address of its model come from these variables, or from a credential for the first.',
  ),
  workerName: option('SLIPWAY_WORKER_NAME', optional, 'host name', 'How this worker is called in the API.'),
  workerCapacity: option(
    'SLIPWAY_WORKER_CAPACITY',
    integer(2, 1, 1000),
    '2',
    'Builds and tasks that this worker runs at the same time.',
  ),
  workerTasks: option(
    'SLIPWAY_WORKER_TASKS',
    z.string().regex(/^\d+$/, 'must be a whole number').transform(Number).pipe(z.number().max(1000)).optional(),
    'the capacity',
    'How many of them may be tasks of the types test and deploy; 0 for none.',
  ),
  workerLabels: option(
    'SLIPWAY_WORKER_LABELS',
    workerLabels,
    'none',
    'What this worker is good for, comma-separated: `gpu,arch=arm64`. Builds that ask for a label wait for a worker that has it. ' +
      'Every worker also has `provider:NAME` for each agent that it can run, and `runtime:NAME`.',
  ),
  remoteLeaseSeconds: option(
    'SLIPWAY_REMOTE_LEASE_SECONDS',
    integer(120, 15, 3_600),
    '120',
    'How long builds and tasks of a remote worker stay its own while the API does not hear of it: two thirds of it survive a cut.',
  ),
  drainSeconds: option(
    'SLIPWAY_DRAIN_SECONDS',
    integer(30, 0, 86_400),
    '30',
    'After SIGTERM or Ctrl-C: how long running builds may go on before the worker lets go of them.',
  ),
  keepAgents: option(
    'SLIPWAY_KEEP_AGENTS',
    flag,
    'true',
    'After that time: agents go on, and a worker that starts on this machine within 30 s takes them over. Say false ' +
      'where they end with the worker, as in a container: their builds are back in the queue at once.',
  ),
  keepEventsDays: option(
    'SLIPWAY_KEEP_EVENTS_DAYS',
    integer(180, 0, 36_500),
    '180',
    'Events of older builds and tasks are dropped; 0 keeps them for ever. Builds and their results stay.',
  ),
  keepTasksDays: option(
    'SLIPWAY_KEEP_TASKS_DAYS',
    integer(365, 0, 36_500),
    '365',
    'Tasks that ended longer ago are dropped, with their results and callbacks; 0 keeps them for ever. Tasks that are builds stay.',
  ),
  keepLogsDays: option(
    'SLIPWAY_KEEP_LOGS_DAYS',
    integer(30, 0, 36_500),
    '30',
    'Logs of older builds are dropped, week by week; 0 keeps them for ever.',
  ),
  sandbox: option(
    'SLIPWAY_SANDBOX',
    z.enum(['auto', 'bubblewrap', 'none']).default('auto'),
    'auto',
    'What keeps agents from the rest of a worker: `auto` is bubblewrap where it works, `bubblewrap` refuses to start without, `none` is nothing.',
  ),
  sandboxPaths: option(
    'SLIPWAY_SANDBOX_PATHS',
    paths,
    'none',
    'Further files and folders that agents in the sandbox may read, comma-separated: toolchains outside /usr and PATH.',
  ),
  network: option(
    'SLIPWAY_NETWORK',
    network,
    'all',
    'What agents may reach besides their model when neither build nor project says it: `all`, `none`, or hosts such as `registry.npmjs.org,*.github.com`.',
  ),
  allowUnsandboxed: option(
    'SLIPWAY_ALLOW_UNSANDBOXED',
    flag,
    'false',
    'Lets `up` listen on an address that others can reach although agents run without a sandbox.',
  ),
  callbackAllowPrivate: option(
    'SLIPWAY_CALLBACK_ALLOW_PRIVATE',
    flag,
    'false',
    'Allows callbacks to private, loopback and link-local addresses.',
  ),
  localRepositories: option(
    'SLIPWAY_LOCAL_REPOSITORIES',
    flag,
    'true in `up` with SLIPWAY_RUNTIME=local',
    'Allows projects whose repository is on this machine: a path, or an address such as 127.0.0.1. Workers ask for it, too.',
  ),
  templatesFolder: option(
    'SLIPWAY_TEMPLATES',
    optional,
    '',
    'A folder with more templates, beside those that Slipway brings.',
  ),
  ...KUBERNETES_OPTIONS,
  ...TELEMETRY_OPTIONS,
  url: option(
    'SLIPWAY_URL',
    z.url({ protocol: /^https?$/ }).default('http://127.0.0.1:4400/graphql'),
    'http://127.0.0.1:4400/graphql',
    'The API that the client commands call.',
  ),
  token: option(
    'SLIPWAY_TOKEN',
    optional,
    'DATA/token',
    'The token of the client commands. The file is only used for a server on this machine.',
    true,
  ),
  failpoints: option(
    'SLIPWAY_FAILPOINTS',
    failpoints,
    '',
    'For tests, never in service: `point=fault[@pass],…` makes this process die, pause or fail at a named point.',
  ),
} as const satisfies Record<string, Option<unknown>>;

export type OptionName = keyof typeof OPTIONS;
