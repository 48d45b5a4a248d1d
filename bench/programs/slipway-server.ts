/** Slipway's API on a port, with every check and limit. */
import { schema } from '../../schema/index.ts';
import { openServer } from '../../src/server/http-server.ts';
import { KEYS } from '../api.ts';
import { openProduct } from '../product.ts';

/** So many points that nobody is refused: they are counted all the same. */
const POINTS_PER_MINUTE = '1000000000';

export async function main({ databaseUrl }: { readonly databaseUrl: string }) {
  const product = await openProduct(databaseUrl, { ...KEYS, SLIPWAY_RATE_LIMIT: POINTS_PER_MINUTE });
  const { orchestrator } = product;
  const server = await openServer({ orchestrator, schema, host: '127.0.0.1', port: 0 });
  return {
    url: () => `${server.url}/graphql`,
    async close() {
      await server[Symbol.asyncDispose]();
      await product[Symbol.asyncDispose]();
    },
  };
}
