/**
 * The program in a sandbox without a network: passes what comes to 127.0.0.1:PORT on to the proxy outside, through the
 * socket that the sandbox was given. It imports nothing of ours, as nothing of ours is there.
 */
import { closeSync, openSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream';

const SOCKET = '/run/slipway/egress.sock';
const PORT = 3128;
const MAX_CONNECTIONS = 256;

const server = createServer({ allowHalfOpen: true }, (inner) => {
  const outer = connect({ path: SOCKET, allowHalfOpen: true });
  pipeline(inner, outer, inner, () => {});
});
server.maxConnections = MAX_CONNECTIONS;
// The program has time to end in its own way, and may need the network for it.
process.on('SIGTERM', () => {});
server.listen(PORT, '127.0.0.1', () => {
  closeSync(1);
  // Else the first connection would become our stdout.
  openSync('/dev/null', 'w');
});
