/** Which hosts a program may reach. The names are judged here; what they stand for when they are connected to. */
import { isIP, isIPv4 } from 'node:net';

export interface NetworkAccess {
  /** HOSTS: only `hosts`, by HTTP and HTTPS through a proxy. */
  readonly access: 'ALL' | 'NONE' | 'HOSTS';
  /** Patterns; empty unless `access` is HOSTS. */
  readonly hosts: readonly string[];
}

export const ALL_OF_THE_NETWORK: NetworkAccess = { access: 'ALL', hosts: [] };

/** Patterns of one list. */
export const MAX_HOSTS = 100;

/** Of a pattern without a port: HTTP and HTTPS. */
const USUAL_PORTS = [80, 443];
const MAX_HOST_LENGTH = 253;
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const PATTERN = /^(\*|\[[^\]]*\]|[^[\]:*]+|\*\.[^[\]:*]+)(?::(\d{1,5}))?$/;

interface HostPattern {
  /** A name, an address, or `*`; with `isSuffix` what follows `*.`. */
  readonly host: string;
  readonly isSuffix: boolean;
  /** Null: the usual ones. */
  readonly port: number | null;
}

const NOT_A_PATTERN =
  'must be a host such as registry.npmjs.org, *.example.com, 10.0.0.7 or [fd00::7], with a port if it is not 80 or 443, or * for every public host';

/** Says in one sentence why `text` is no pattern; null when it is one. */
export function hostPatternProblem(text: string): string | null {
  return parsePattern(text) === null ? NOT_A_PATTERN : null;
}

/**
 * Is a connection to this host and port allowed by one of the patterns? `address`: the address itself is listed, so it
 * may be a private one; `name`: only if it stands for public addresses. An address matches nothing but itself.
 */
export function matchHost(patterns: readonly string[], host: string, port: number): 'address' | 'name' | null {
  const asked = normalHost(host);
  if (asked === null) return null;
  const isAddress = isIP(asked) !== 0;
  const matches = patterns.some((text) => {
    const pattern = parsePattern(text);
    if (pattern === null) return false;
    if (pattern.port === null ? !USUAL_PORTS.includes(port) : pattern.port !== port) return false;
    if (pattern.host === '*') return !isAddress;
    return pattern.isSuffix ? asked.endsWith(`.${pattern.host}`) : asked === pattern.host;
  });
  if (!matches) return null;
  return isAddress ? 'address' : 'name';
}

function parsePattern(text: string): HostPattern | null {
  const [, host = '', portText] = PATTERN.exec(text) ?? [];
  const port = portText === undefined ? null : Number(portText);
  if (host === '' || port === 0 || (port ?? 0) > 65_535) return null;
  if (host === '*') return { host, isSuffix: false, port };
  const isSuffix = host.startsWith('*.');
  const normal = normalHost(isSuffix ? host.slice(2) : host);
  if (normal === null || (isSuffix && isIP(normal) !== 0)) return null;
  return { host: normal, isSuffix, port };
}

/** One spelling of a name or an address, without brackets; null for what is neither. */
function normalHost(text: string): string | null {
  if (/^\[.*\]$/.test(text) || text.includes(':')) {
    const url = URL.parse(`http://[${text.replace(/^\[|\]$/g, '')}]/`);
    return url?.hostname.slice(1, -1) ?? null;
  }
  const name = text.toLowerCase().replace(/\.$/, '');
  if (name.length > MAX_HOST_LENGTH || !name.split('.').every((label) => LABEL.test(label))) return null;
  // 127.1 and 0x7f000001 are addresses for a resolver: only the usual spelling counts as one.
  return /(^|\.)(\d+|0x[0-9a-f]*)$/.test(name) && !isIPv4(name) ? null : name;
}
