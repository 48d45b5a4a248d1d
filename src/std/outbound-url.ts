/**
 * Where Slipway may send a request that somebody else chose the address of. The text is judged when it is accepted, the
 * address that a name stands for when it is connected to: names change what they stand for.
 */
import { BlockList, isIP } from 'node:net';

export interface OutboundPolicy {
  /** Private, loopback and link-local addresses and any port are fine: callbacks stay in a network of one's own. */
  readonly allowPrivate: boolean;
}

const MAX_URL_LENGTH = 2048;

/** From 1024 on, where databases, clusters and their like are known to listen without asking who is there. */
const SERVICE_PORTS = new Set([
  ...[1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4222, 5432, 5433, 5672, 5900, 5984, 6379, 6443, 6667],
  ...[8500, 8600, 9042, 9092, 9200, 9300, 10_250, 10_255, 10_257, 10_259, 11_211, 15_672, 16_379, 26_379, 27_017],
]);

/** Names that only ever stand for this machine or this network. */
const LOCAL_NAME = /(^|\.)(localhost|localdomain|local|internal|intranet|lan|home\.arpa)$/;

/** IANA's special-purpose registry, multicast, reserved, and the addresses that clouds answer on. */
const DENIED_IPV4 = blockList('ipv4', [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16', '192.175.48.0/24'],
  ...['198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32'],
]);

/** This machine. */
const LOCAL = blockList('ipv4', ['0.0.0.0/8', '127.0.0.0/8']);
LOCAL.addSubnet('::', 127, 'ipv6');
/** The same in disguise, and what no server has: link-local with the addresses that clouds answer on, multicast, reserved. */
const NO_SERVER = blockList('ipv4', [
  ...['169.254.0.0/16', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32', '224.0.0.0/4', '240.0.0.0/4'],
]);
for (const [network, prefix] of [
  ...([
    ['fe80::', 10],
    ['ff00::', 8],
    ['fd00:ec2::254', 128],
    ['64:ff9b::7f00:0', 104],
    ['64:ff9b::a9fe:0', 112],
  ] as const),
  ...([
    ['64:ff9b:1::', 48],
    ['2002:7f00::', 24],
    ['2002:a9fe::', 32],
    ['::7f00:0', 104],
    ['::a9fe:0', 112],
  ] as const),
] as const) {
  NO_SERVER.addSubnet(network, prefix, 'ipv6');
}

/** Global unicast. Everything else in IPv6 is local, reserved, or IPv4 in disguise (mapped, NAT64). */
const GLOBAL_IPV6 = blockList('ipv6', ['2000::/3']);
/** Inside it: protocol assignments with Teredo and ORCHID, documentation, 6to4, AS112, the former 6bone. */
const DENIED_IPV6 = blockList('ipv6', [
  ...['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3ffe::/16', '3fff::/20'],
]);

/**
 * Says in one sentence why this URL may not be called; null when it may. Accepts absolute http and https URLs of at
 * most 2048 characters. A name that passes may still stand for a denied address: see `addressDenied`.
 */
export function outboundUrlProblem(text: string, policy: OutboundPolicy): string | null {
  if (text.length > MAX_URL_LENGTH) return `must be at most ${MAX_URL_LENGTH} characters`;
  // The parser would silently drop white space and control characters, and find a host in http:///path.
  if (/[\s\p{Cc}\\]/u.test(text)) return 'must not contain white space, control characters or backslashes';
  if (!/^https?:\/\/[^/]/i.test(text)) return 'must be an absolute http or https URL with a host';
  const url = URL.parse(text);
  if (!url) return 'is not a valid URL';
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or a password';
  if (text.includes('#')) return 'must not contain a fragment';
  if (policy.allowPrivate) return null;
  return portProblem(url) ?? hostProblem(url.hostname);
}

/** Is this IP address anything else than a public unicast one? What is not an address is denied, too. */
export function addressDenied(ip: string): boolean {
  switch (isIP(ip)) {
    case 4:
      return DENIED_IPV4.check(ip, 'ipv4');
    case 6:
      return !GLOBAL_IPV6.check(ip, 'ipv6') || DENIED_IPV6.check(ip, 'ipv6');
    default:
      return true;
  }
}

/**
 * Says what is wrong with the host of a git remote, a name or an address as a URL parser gives it; null when nothing
 * is. Private networks are fine, companies keep their repositories there. This machine is not, unless `allowLocal`.
 */
export function remoteAddressProblem(host: string, { allowLocal }: { readonly allowLocal: boolean }): string | null {
  const name = host.replace(/\.+$/, '').toLowerCase();
  const family = isIP(name) === 6 ? 'ipv6' : 'ipv4';
  const isAddress = isIP(name) !== 0;
  if (isAddress && NO_SERVER.check(name, family)) return 'must not be a link-local, multicast or reserved address';
  const isLocal = isAddress ? LOCAL.check(name, family) : /(^|\.)localhost$/.test(name);
  return isLocal && !allowLocal ? 'must not be this machine: SLIPWAY_LOCAL_REPOSITORIES allows that' : null;
}

function portProblem(url: URL): string | null {
  const port = url.port === '' ? null : Number(url.port);
  if (port === null || port === 80 || port === 443 || (port >= 1024 && !SERVICE_PORTS.has(port))) return null;
  return `must not use port ${port}: 80, 443 and ports from 1024 on that no well-known service has are allowed`;
}

/** `hostname` comes out of the URL parser, which has already made one spelling of all spellings of an address. */
function hostProblem(hostname: string): string | null {
  const host = hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.+$/, '');
  if (isIP(host) !== 0) return addressDenied(host) ? 'must not point to a private or reserved address' : null;
  if (LOCAL_NAME.test(host) || !host.includes('.')) return 'must name a host that is reachable from the internet';
  return null;
}

function blockList(family: 'ipv4' | 'ipv6', networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
