/** Passes TCP on, and plays what networks do: they cut, refuse, delay, fall silent, or forget one of the two ends. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * `refuse`: what is open breaks, and nothing new is let in. `delay`: every chunk comes `ms` later. `silence`: nothing
 * passes, nobody is told; what was held back passes when it is over. `half-open`: the target sees its connections end,
 * the client learns of it when it is over.
 */
export type Trouble =
  | { readonly kind: 'refuse' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** `only`: connections whose first bytes match, as Latin-1. */
  | { readonly kind: 'silence'; readonly only?: RegExp }
  | { readonly kind: 'half-open' };

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Where new connections go. */
  target: number;
  /** Connections that were opened so far. */
  readonly opened: number;
  /** Breaks all that are open, as a lost network does: without a goodbye. */
  cut(): void;
  /** One trouble at a time: ends the one before. Null: none. */
  disturb(trouble: Trouble | null): void;
}

interface Link {
  readonly client: Socket;
  readonly target: Socket;
  /** The client's first bytes. */
  hello: string;
  /** Taken off a socket that is paused since: at most one chunk for each direction. */
  readonly held: (() => void)[];
}

/** `host`: the address of this machine that it listens on. */
export async function openTcpProxy(targetPort: number, host = '127.0.0.1'): Promise<TcpProxy> {
  const links = new Set<Link>();
  let target = targetPort;
  let opened = 0;
  let trouble: Trouble | null = null;
  const cut = () => {
    for (const link of links) for (const socket of [link.client, link.target]) socket.resetAndDestroy();
  };
  const server = createServer((client) => {
    if (trouble?.kind === 'refuse') return void client.resetAndDestroy();
    opened += 1;
    const link: Link = { client, target: connect(target, '127.0.0.1'), hello: '', held: [] };
    links.add(link);
    join(
      link,
      () => trouble,
      () => links.delete(link),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  const disturb = (next: Trouble | null) => {
    const before = trouble;
    trouble = next;
    if (before?.kind === 'half-open' || next?.kind === 'refuse') cut();
    for (const link of links) release(link);
    if (next?.kind === 'half-open') for (const link of links) link.target.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get target() {
      return target;
    },
    set target(port: number) {
      target = port;
    },
    get opened() {
      return opened;
    },
    cut,
    disturb,
    async [Symbol.asyncDispose]() {
      disturb(null);
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Both directions of one connection, until both of its ends are gone. */
function join(link: Link, trouble: () => Trouble | null, onGone: () => void): void {
  const pass = (from: Socket, to: Socket) => {
    from.on('error', () => {});
    from.on('data', (chunk: Buffer) => {
      if (from === link.client && link.hello === '') link.hello = chunk.toString('latin1');
      const now = trouble();
      const write = () => {
        if (!to.destroyed && !to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      };
      if (holds(now, link)) {
        from.pause();
        link.held.push(write);
      } else if (now?.kind === 'delay') setTimeout(write, now.ms);
      else write();
    });
    from.on('end', () => {
      const now = trouble();
      if (now?.kind === 'delay') setTimeout(() => to.end(), now.ms);
      else if (now?.kind !== 'half-open') to.end();
    });
    from.on('close', () => {
      if (trouble()?.kind === 'half-open' && from === link.target) return;
      to.destroy();
      if (to.destroyed) onGone();
    });
  };
  pass(link.client, link.target);
  pass(link.target, link.client);
}

function holds(trouble: Trouble | null, link: Link): boolean {
  if (trouble?.kind === 'half-open') return true;
  return trouble?.kind === 'silence' && (trouble.only === undefined || trouble.only.test(link.hello));
}

function release(link: Link): void {
  for (const write of link.held.splice(0)) write();
  link.client.resume();
  link.target.resume();
}
