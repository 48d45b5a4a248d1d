/**
 * `npm run bench -- [--quick] [--only NAME]… [--json] [--list] [--growth]`: what Slipway's figures are beside their limits
 * and peers. See bench/README.md.
 */
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
// Not before the peers are there: figures import them.
const { runSuite } = await import('./suite.ts');
process.exitCode = await runSuite(values);
