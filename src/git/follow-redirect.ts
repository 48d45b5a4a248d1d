/** Where a remote has moved to. git would follow a redirect to any address; here each step is judged like a remote. */
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { GitContext } from './git.ts';
import { type GitFailure, gitFailure } from './git-failure.ts';
import { findRoute } from './remote-route.ts';
import { repositoryUrlProblem } from './remote-url.ts';

const MAX_REDIRECTS = 3;
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** git's first request, whose end a redirect has to keep. */
const TAIL = '/info/refs?service=git-upload-pack';
const ADVICE = 'Set the repository URL of the project to the new address';

type RedirectContext = Pick<GitContext, 'remote' | 'signal' | 'environment' | 'allowLocal' | 'lookup'>;

/** The URL at which the repository is found after at most three redirects. The credentials go to the first host only. */
export async function followRedirect(context: RedirectContext): Promise<{ ok: true; url: string } | GitFailure> {
  let url = context.remote.url.replace(/\/+$/, '');
  for (let hops = 0; hops < MAX_REDIRECTS; hops += 1) {
    const location = await readLocation(context, url);
    if (typeof location !== 'string') return location ?? (hops === 0 ? unknown() : { ok: true, url });
    const next = URL.parse(location, url)?.href ?? '';
    const moved = next.slice(0, -TAIL.length);
    const isSafe = !(url.startsWith('https:') && !next.startsWith('https:'));
    if (!next.endsWith(TAIL) || !isSafe || !/^https?:/.test(moved) || repositoryUrlProblem(moved) !== null) {
      return gitFailure('FORBIDDEN', `The remote redirects to an address that is not followed. ${ADVICE}.`);
    }
    url = moved;
  }
  return gitFailure('FORBIDDEN', `The remote redirects more than ${MAX_REDIRECTS - 1} times. ${ADVICE}.`);
}

function unknown(): GitFailure {
  return gitFailure('FORBIDDEN', `The remote redirects and does not say where to. ${ADVICE}.`);
}

/** Null when the answer is no redirect. */
async function readLocation(context: RedirectContext, url: string): Promise<string | null | GitFailure> {
  const route = await findRoute(context, url);
  if (!route.ok) return route;
  const target = new URL(url + TAIL);
  const isFirst = target.origin === new URL(context.remote.url).origin;
  const { credentials } = context.remote;
  const auth = credentials && isFirst ? { auth: `${credentials.username}:${credentials.password}` } : {};
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
  const request = (target.protocol === 'https:' ? https : http).request(target, {
    agent: false,
    ...auth,
    lookup: fixedLookup(route.addresses),
    maxHeaderSize: MAX_HEADER_BYTES,
    signal,
  });
  request.on('error', () => {});
  try {
    const answered = once(request, 'response', { signal });
    request.end();
    const [{ statusCode = 0, headers }] = (await answered) as [IncomingMessage];
    return statusCode >= 300 && statusCode < 400 ? (headers.location ?? null) : null;
  } catch {
    return gitFailure('UNREACHABLE', 'The remote redirects and did not say in time where to.');
  } finally {
    request.destroy();
  }
}

function fixedLookup(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (hostname, options, done) => {
    const [first] = found;
    if (!first) done(new Error(`The host ${hostname} was not resolved.`), []);
    else if (options.all) done(null, found);
    else done(null, first.address, first.family);
  };
}
