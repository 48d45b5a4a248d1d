/** The sockets of each token: not too many, and none that outlives its token. Watched once for all that have shown one secret. */
import { CloseCode } from 'graphql-ws';
import type { Viewer } from '../auth/viewer.ts';
import type { GraphqlSocket } from './graphql-socket.ts';
import type { TokenWatch } from './token-watch.ts';

interface Shown {
  readonly sockets: Set<GraphqlSocket>;
  readonly unwatch: () => void;
}

export class TokenSockets {
  readonly #tokens: TokenWatch;
  readonly #limit: number;
  /** By token, and by which of its secrets was shown. */
  readonly #shown = new Map<string, Map<number, Shown>>();

  constructor(tokens: TokenWatch, limit: number) {
    this.#tokens = tokens;
    this.#limit = limit;
  }

  /** Closes the socket when its token is lost, until it leaves; false when the token has too many. */
  enter(viewer: Viewer, socket: GraphqlSocket): boolean {
    const secrets = this.#shown.get(viewer.tokenId) ?? new Map<number, Shown>();
    const count = secrets.values().reduce((sum, { sockets }) => sum + sockets.size, 0);
    if (count >= this.#limit) return false;
    this.#shown.set(viewer.tokenId, secrets);
    const shown = secrets.get(viewer.secretVersion) ?? this.#watch(viewer);
    secrets.set(viewer.secretVersion, shown);
    shown.sockets.add(socket);
    return true;
  }

  leave({ tokenId, secretVersion }: Viewer, socket: GraphqlSocket): void {
    const secrets = this.#shown.get(tokenId);
    const shown = secrets?.get(secretVersion);
    if (!secrets || !shown?.sockets.delete(socket) || shown.sockets.size > 0) return;
    shown.unwatch();
    secrets.delete(secretVersion);
    if (secrets.size === 0) this.#shown.delete(tokenId);
  }

  #watch(viewer: Viewer): Shown {
    const sockets = new Set<GraphqlSocket>();
    const unwatch = this.#tokens.watch(viewer, () => {
      for (const socket of [...sockets]) socket.close(CloseCode.Forbidden, 'Forbidden');
    });
    return { sockets, unwatch };
  }
}
