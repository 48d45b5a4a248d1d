/** One row per option: parsing, `slipway help config` and the README's table all come from here. */
import { z } from 'zod';
import { LOG_LEVELS } from '../std/log-level.ts';

export interface Option<T> {
  /** The environment variable. */
  readonly env: string;
  /** Parses the variable's text; undefined when it is not set. */
  readonly schema: z.ZodType<T, string | undefined>;
  /** What the README shows as the default. */
  readonly default: string;
  readonly help: string;
  /** Never printed. */
  readonly secret?: boolean;
}

const text = (fallback: string) => z.string().min(1).default(fallback);
const optional = z.string().min(1).optional();
const integer = (fallback: number, min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max))
    .default(fallback);
const flag = z
  .enum(['true', 'false', '1', '0'])
  .transform((value) => value === 'true' || value === '1')
  .optional();
const list = z
  .string()
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  )
  .default([]);

function option<T>(
  env: string,
  schema: z.ZodType<T, string | undefined>,
  fallback: string,
  help: string,
  secret = false,
): Option<T> {
  return { env, schema, default: fallback, help, secret };
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
    'A Postgres 15 or newer. LISTEN needs a direct connection, not PgBouncer in transaction mode.',
    true,
  ),
  databasePool: option(
    'SLIPWAY_DATABASE_POOL',
    integer(20, 4, 500),
    '20',
    'Database connections of one process, at most.',
  ),
  host: option('SLIPWAY_HOST', text('127.0.0.1'), '127.0.0.1', 'Address to listen on.'),
  port: option('SLIPWAY_PORT', integer(4400, 0, 65_535), '4400', 'Port to listen on; 0 takes a free one.'),
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
  logLevel: option('SLIPWAY_LOG_LEVEL', z.enum(LOG_LEVELS).default('info'), 'info', `One of ${LOG_LEVELS.join(', ')}.`),
  masterKey: option(
    'SLIPWAY_MASTER_KEY',
    z.base64().optional(),
    'DATA/master.key',
    '32 bytes in base64: seals credentials and derives callback secrets. Made on first use where it is not given.',
    true,
  ),
  defaultProvider: option(
    'SLIPWAY_DEFAULT_PROVIDER',
    text('claude-code'),
    'claude-code',
    'The agent of builds and projects that name none.',
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
  workerName: option('SLIPWAY_WORKER_NAME', optional, 'host name', 'How this worker is called in the API.'),
  workerCapacity: option(
    'SLIPWAY_WORKER_CAPACITY',
    integer(2, 1, 1000),
    '2',
    'Builds that this worker runs at the same time.',
  ),
  drainSeconds: option(
    'SLIPWAY_DRAIN_SECONDS',
    integer(30, 0, 86_400),
    '30',
    'After SIGTERM: how long running builds may go on before they are put back into the queue.',
  ),
  keepEventsDays: option(
    'SLIPWAY_KEEP_EVENTS_DAYS',
    integer(180, 0, 36_500),
    '180',
    'Events of older builds are dropped, week by week; 0 keeps them for ever. Builds and their results stay.',
  ),
  keepLogsDays: option(
    'SLIPWAY_KEEP_LOGS_DAYS',
    integer(30, 0, 36_500),
    '30',
    'Logs of older builds are dropped, week by week; 0 keeps them for ever.',
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
    'true in `up`',
    'Allows projects whose repository is a path on this machine.',
  ),
  templatesFolder: option(
    'SLIPWAY_TEMPLATES',
    optional,
    '',
    'A folder with more templates, beside those that Slipway brings.',
  ),
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
} as const satisfies Record<string, Option<unknown>>;

export type OptionName = keyof typeof OPTIONS;
