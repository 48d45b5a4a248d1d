/** Environment -> typed, frozen configuration. All mistakes are reported at once. */
import { resolve } from 'node:path';
import type { z } from 'zod';
import { kubernetesConflicts } from './kubernetes-conflicts.ts';
import type { Option } from './option.ts';
import { OPTIONS, type OptionName } from './options.ts';

export type Config = { readonly [K in OptionName]: z.output<(typeof OPTIONS)[K]['schema']> };

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * `environment` is `process.env` except in tests; `flags` are those of a command line and go first. Throws ConfigError
 * with one line per mistake.
 */
export function readConfig(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  flags: Readonly<Partial<Record<OptionName, string | undefined>>> = {},
): Config {
  const mistakes: string[] = [];
  const entries = (Object.entries(OPTIONS) as [OptionName, Option<unknown>][]).map(([name, option]) => {
    // An empty variable means "not set": compose files and shells write it so.
    const result = option.schema.safeParse(flags[name] ?? (environment[option.env] || undefined));
    if (!result.success) {
      mistakes.push(`${option.env}: ${result.error.issues.map((issue) => issue.message).join('; ')} (${option.help})`);
    }
    return [name, result.data];
  });
  const config = Object.fromEntries(entries) as Config;
  if (config.databaseDirectUrl && !config.databaseUrl) {
    mistakes.push('SLIPWAY_DATABASE_DIRECT_URL: needs SLIPWAY_DATABASE_URL, the pooler before this database.');
  }
  const unread = mistakes.map((mistake) => mistake.slice(0, mistake.indexOf(':')));
  const conflicts = kubernetesConflicts(config).filter(({ env }) => !unread.includes(env));
  mistakes.push(...conflicts.map(({ env, message }) => `${env}: ${message}`));
  if (mistakes.length > 0) throw new ConfigError(`The configuration is not valid.\n${mistakes.join('\n')}`);
  return Object.freeze({ ...config, dataFolder: resolve(config.dataFolder) });
}

/** What the options hold or name that is never printed; of a URL its password, too. */
export function secretOptions(config: Config): readonly string[] {
  const options = Object.entries(OPTIONS) as [OptionName, Option<unknown>][];
  const values = options
    .filter(([, option]) => option.secret)
    .flatMap(([name]): unknown => config[name])
    .filter((value) => typeof value === 'string');
  const passwords = values.map((value) => URL.parse(value)?.password ?? '');
  const named = Object.values(config.acpAgents).map(
    ({ keyVariable }) => (keyVariable && readVariable(keyVariable)) ?? '',
  );
  return [...values, ...passwords, ...passwords.map(safelyDecoded), ...named].filter((value) => value !== '');
}

/** One variable that the caller names; null when it is not set. */
export function readVariable(
  name: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | null {
  return environment[name] ?? null;
}

function safelyDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a child process may see of our environment: enough to find programs and to speak UTF-8, nothing else. */
export function baseEnvironment(): Readonly<Record<string, string>> {
  const { PATH, LANG, TZ } = process.env;
  return {
    PATH: PATH ?? '/usr/local/bin:/usr/bin:/bin',
    LANG: LANG ?? 'C.UTF-8',
    ...(TZ ? { TZ } : {}),
  };
}

/** What git may see besides: how this machine reaches the network and its ssh keys. git itself takes what it knows of it. */
export function gitEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
