/** What every command that talks to the API begins with. */
import { readFile } from 'node:fs/promises';
import { type Client, createClient } from '../client/client.ts';
import { type Config, readConfig } from '../config/config.ts';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { createOutput, type Output } from './output.ts';
import { tokenFile } from './token-file.ts';

export interface ClientFlags {
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
}

export interface Session {
  readonly io: Io;
  readonly client: Client;
  readonly output: Output;
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export async function withSession(
  io: Io,
  flags: ClientFlags,
  command: (session: Session) => Promise<ExitCode>,
): Promise<ExitCode> {
  const config = readConfig(io.environment, { url: flags.url, token: flags.token });
  const token = config.token ?? (await readLocalToken(config));
  await using client = createClient({ url: config.url, token });
  return await command({ io, client, output: createOutput(io, flags) });
}

/** The token that `slipway up` left on this machine; it goes to no other one. */
async function readLocalToken(config: Config): Promise<string | null> {
  if (!LOOPBACK.test(new URL(config.url).hostname)) return null;
  const text = await readFile(tokenFile(config.dataFolder), 'utf8').catch(() => null);
  return text?.trim() || null;
}
