/** The API over a test stack, with an administrator's token; it can be closed and opened again on the same port. */
import { schema } from '../../schema/index.ts';
import { createApiToken } from '../../src/auth/api-token.ts';
import type { Scope } from '../../src/auth/scope.ts';
import { type OpenServer, openServer } from '../../src/server/http-server.ts';
import type { TestStack } from './orchestrator.ts';

export interface TestApi extends AsyncDisposable {
  /** Of the GraphQL endpoint. */
  readonly url: string;
  readonly port: number;
  readonly token: string;
  /** Open subscriptions. */
  readonly subscriptionCount: number;
  makeToken(scopes: readonly Scope[]): Promise<string>;
  restart(): Promise<void>;
}

export async function openTestApi({ orchestrator }: TestStack): Promise<TestApi> {
  const makeToken = async (scopes: readonly Scope[]) => {
    const input = { name: 'test', scopes, projectIds: null, expiresAt: null, createdBy: 'test' };
    return (await createApiToken(orchestrator.db, input)).token;
  };
  const open = (port: number): Promise<OpenServer> => openServer({ orchestrator, schema, host: '127.0.0.1', port });
  let server = await open(0);
  const { port } = server;
  return {
    url: `${server.url}/graphql`,
    port,
    get subscriptionCount() {
      return server.subscriptionCount;
    },
    token: await makeToken(['admin']),
    makeToken,
    async restart() {
      await server[Symbol.asyncDispose]();
      server = await open(port);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
