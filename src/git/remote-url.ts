/** Which repository URLs a project may have. */

const MAX_URL_LENGTH = 2048;
const HOST = '[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?';
const SCP_LIKE = new RegExp(`^[A-Za-z0-9_][A-Za-z0-9_.-]*@${HOST}:(?!-)(?!//)\\S+$`);
const WITH_SCHEME = /^(?:https?|ssh):\/\//;
const ALLOWED =
  'must be https://host/path, http://host/path, ssh://host/path, user@host:path or an absolute path on this machine';

/** What is wrong with the URL, as a phrase that follows its name; null when git may be given it. */
export function repositoryUrlProblem(url: string): string | null {
  if (url === '') return 'must not be empty';
  if (url.length > MAX_URL_LENGTH) return `must be at most ${MAX_URL_LENGTH} characters`;
  if (/\p{Cc}/u.test(url) || !url.isWellFormed()) return 'must not contain control characters';
  if (isLocalPath(url)) return null;
  if (SCP_LIKE.test(url)) return null;
  if (!WITH_SCHEME.test(url)) return ALLOWED;
  if (/[\s\\]/.test(url)) return 'must not contain spaces or backslashes';
  const parsed = URL.parse(url);
  if (parsed === null || parsed.hostname === '' || parsed.hostname.startsWith('-')) return ALLOWED;
  if (parsed.password !== '' || (parsed.protocol !== 'ssh:' && parsed.username !== '')) {
    return 'must not contain credentials: give them to the project instead';
  }
  if (decodeURIComponentSafely(parsed.username).startsWith('-')) return ALLOWED;
  if (url.includes('?') || url.includes('#')) return 'must not contain a query or a fragment';
  if (parsed.pathname.length <= 1) return 'must name a repository after the host';
  return null;
}

/** Scheme, host and port of an http or https URL, in one spelling; null for any other kind of address. */
export function webOrigin(url: string | null): string | null {
  return url !== null && /^https?:/i.test(url) ? (URL.parse(url)?.origin ?? null) : null;
}

/** Where a URL that `repositoryUrlProblem` accepts and that is no path leads to; `hostname` without brackets. */
export function remoteHost(url: string): { scheme: 'http' | 'https' | 'ssh'; hostname: string; port: number } {
  const scpLike = WITH_SCHEME.test(url) ? undefined : /@([^:]+):/.exec(url)?.[1];
  const scheme = scpLike !== undefined || url.startsWith('ssh:') ? 'ssh' : url.startsWith('https:') ? 'https' : 'http';
  // As http, because only of its hosts the parser makes one spelling of all.
  const { hostname, port } = new URL(`http://${scpLike ?? new URL(url).host}`);
  const usual = { http: 80, https: 443, ssh: 22 }[scheme];
  return { scheme, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || usual) };
}

/** True for a repository on this machine: an absolute path. */
export function isLocalPath(url: string): boolean {
  return url.startsWith('/');
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
