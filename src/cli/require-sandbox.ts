/** A service that runs builds starts only where the operator knows what they can reach. */
import { BlockList, isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import { findSandbox, type NoSandbox, type Sandbox } from '../runtimes/sandbox.ts';
import { CliError } from './exit-code.ts';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Throws CliError without one where `SLIPWAY_SANDBOX` asks for it. */
export async function requireSandbox(config: Pick<Config, 'runtime' | 'sandbox'>): Promise<Sandbox> {
  if (config.runtime === 'kubernetes') return { kind: 'pod' };
  const sandbox = await findSandbox(config.sandbox);
  if (sandbox.kind === 'bubblewrap' || config.sandbox !== 'bubblewrap') return sandbox;
  throw new CliError(`SLIPWAY_SANDBOX is bubblewrap, and there is no sandbox: ${sandbox.reason}`, {
    code: 'NO_SANDBOX',
    hints: [sandbox.remedy],
  });
}

/** Throws CliError when others would be let in to a machine on which agents do as they like. */
export function refuseOpenHouse(config: Pick<Config, 'host' | 'allowUnsandboxed'>, sandbox: Sandbox): void {
  if (sandbox.kind !== 'none' || config.allowUnsandboxed || isLoopback(config.host)) return;
  throw new CliError(
    `Others can reach ${config.host}, and the builds that they start would do whatever your user may do: ${sandbox.reason}`,
    {
      code: 'NO_SANDBOX',
      hints: [
        sandbox.remedy,
        'Or listen on 127.0.0.1, or keep the workers on other machines (slipway serve, slipway work).',
        'Or say that you want it so: SLIPWAY_ALLOW_UNSANDBOXED=true.',
      ],
    },
  );
}

/** What a person should know who starts a worker without one. */
export function withoutSandbox({ reason }: NoSandbox): string {
  return (
    `No sandbox: ${reason} Agents, and what they run, can read and change whatever this user can, the data folder ` +
    'included, and reach its network. Builds that limit the network are refused.'
  );
}

function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host === 'localhost';
  return LOOPBACK.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
