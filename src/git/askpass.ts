/** Hands credentials to git through the environment of its process: never argv, a URL, a config or a file. */
import { join } from 'node:path';

const SCRIPT = join(import.meta.dirname, 'askpass.sh');

export interface GitCredentials {
  readonly username: string;
  readonly password: string;
}

/** The variables for a git command that talks to `url`; none when it needs no credentials or is not HTTP. */
export function askpassEnvironment(url: string, credentials: GitCredentials | null): Record<string, string> {
  const origin = /^(https?):\/\/([^/]+)/.exec(url);
  if (credentials === null || origin === null) return {};
  const [, scheme = '', host = ''] = origin;
  return {
    GIT_ASKPASS: SCRIPT,
    SLIPWAY_GIT_SCHEME: scheme,
    SLIPWAY_GIT_HOST: host,
    SLIPWAY_GIT_USERNAME: credentials.username,
    SLIPWAY_GIT_PASSWORD: credentials.password,
  };
}
