/**
 * How git gets to a remote over HTTP: at addresses that were looked at before, and that it cannot exchange for others
 * by asking the name again.
 */
import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { remoteAddressProblem } from '../std/outbound-url.ts';
import type { GitContext } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';
import { remoteHost, repositoryUrlProblem } from './remote-url.ts';

const LOOKUP_TIMEOUT_MS = 10_000;

export interface RemoteRoute {
  readonly ok: true;
  /** What the host's name stands for; empty where git resolves it itself. */
  readonly addresses: readonly string[];
  /** Configuration for git. */
  readonly settings: Readonly<Record<string, string>>;
}

type RouteContext = Pick<GitContext, 'signal' | 'environment' | 'allowLocal' | 'lookup'>;

/**
 * FORBIDDEN where any address of the host is one that a remote may not have, UNREACHABLE where it has none. Behind a
 * proxy of the machine the proxy resolves names, and ssh reads the machine's own configuration: there only an address
 * in the URL is judged.
 */
export async function findRoute(context: RouteContext, url: string): Promise<RemoteRoute | GitFailure> {
  const invalid = repositoryUrlProblem(url);
  if (invalid !== null) return gitFailure('FORBIDDEN', `The repository URL ${invalid}.`);
  const { hostname, port, scheme } = remoteHost(url);
  const policy = { allowLocal: context.allowLocal ?? false };
  const problem = remoteAddressProblem(hostname, policy);
  if (problem !== null) return gitFailure('FORBIDDEN', `The host of the repository ${problem}.`);
  const open: RemoteRoute = { ok: true, addresses: [], settings: {} };
  if (scheme === 'ssh' || isProxied(context, scheme)) return open;
  if (isIP(hostname) !== 0) return { ...open, addresses: [hostname] };
  const addresses = await resolve(context, hostname);
  if (addresses.length === 0) return gitFailure('UNREACHABLE', `The host ${hostname} could not be resolved.`);
  const denied = addresses.map((address) => remoteAddressProblem(address, policy)).find((found) => found !== null);
  if (denied !== undefined) return gitFailure('FORBIDDEN', `The host of the repository stands for one that ${denied}.`);
  const targets = addresses.map((address) => (isIP(address) === 6 ? `[${address}]` : address));
  return { ok: true, addresses, settings: { 'http.curloptResolve': `${hostname}:${port}:${targets.join(',')}` } };
}

function isProxied({ environment = {} }: RouteContext, scheme: string): boolean {
  const names = [`${scheme}_proxy`, 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]);
  return names.some((name) => environment[name]);
}

/** Empty when there is none, or no answer in time. */
async function resolve({ signal, lookup = systemLookup as LookupFunction }: RouteContext, hostname: string) {
  const { promise, resolve: answer } = Promise.withResolvers<readonly string[]>();
  const timer = setTimeout(answer, LOOKUP_TIMEOUT_MS, []);
  const stop = () => answer([]);
  signal.addEventListener('abort', stop, { once: true });
  lookup(hostname, { all: true }, (_error, found) => {
    answer(Array.isArray(found) ? found.map(({ address }) => address) : []);
  });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  });
}
