import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAcpConnection } from './acp-connection.ts';
import type { AgentAvailability } from './agent.ts';
import { cutText, firstLine } from './cut-text.ts';
import { fieldsOf, textOf } from './json-fields.ts';

const TIMEOUT_MS = 9_000;
const MAX_STDERR = 8 * 1024;
const MAX_VERSION = 100;

interface ProbeOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
}

/** Starts the agent in an empty home and asks who it is. Never throws. */
export async function probeAcpAgent(options: ProbeOptions): Promise<AgentAvailability> {
  const remedy = `Install it on the worker, or correct the command line of ${options.name} in SLIPWAY_ACP_AGENTS.`;
  try {
    const home = await mkdtemp(join(tmpdir(), 'slipway-acp-'));
    try {
      const asked = await askVersion(options, home);
      return 'version' in asked ? { available: true, ...asked } : { available: false, ...asked, remedy };
    } finally {
      await rm(home, { recursive: true, force: true, maxRetries: 3 });
    }
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error), remedy };
  }
}

async function askVersion(
  { command, environment }: ProbeOptions,
  home: string,
): Promise<{ readonly version: string } | { readonly reason: string }> {
  const connection = openAcpConnection({
    command,
    env: { ...environment, HOME: home, TMPDIR: home, XDG_RUNTIME_DIR: home },
    cwd: home,
    stderr: 'pipe',
    answer: () => null,
    onMessage: () => {},
    onGarbage: () => {},
  });
  let stderr = '';
  connection.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(0, MAX_STDERR);
  });
  const clientCapabilities = { fs: { readTextFile: false, writeTextFile: false }, terminal: false };
  const reply = await connection.request('initialize', { protocolVersion: 1, clientCapabilities }, TIMEOUT_MS);
  // Nothing is to be saved, and what it leaves behind would write into a home that is gone.
  await connection.kill();
  if (reply.ok) {
    const version = textOf(fieldsOf(reply.result.agentInfo)?.version);
    return { version: version === null ? 'unknown' : cutText(version, MAX_VERSION) };
  }
  const words = firstLine(stderr, 200);
  return { reason: words === '' ? reply.message : `${reply.message} It said: ${words}` };
}
