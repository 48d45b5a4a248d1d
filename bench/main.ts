/**
 * `npm run bench -- [--quick] [--only NAME]… [--json] [--list] [--growth]`: what Slipway's figures are beside their limits
 * and peers. See bench/README.md.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installPeers } from './install.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
  },
});

installPeers();
// Each figure, and each program of it, is a process that loads the product: types are stripped and code is parsed once.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache', import.meta.url));
// Not before the peers are there: figures import them.
const { runSuite } = await import('./suite.ts');
process.exitCode = await runSuite(values);
