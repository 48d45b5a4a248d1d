/** How many artifacts a token may have sent at a time. */
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { v7 } from 'uuid';
import { expect, it } from 'vitest';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { insertBuilds } from '../support/events.ts';
import { waitFor } from '../support/wait-for.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';

/** Much more than the kernel holds for a reader who reads nothing. */
const BYTES = 48 * 1024 * 1024;

async function storeArtifact({ server, stack }: FixtureServer): Promise<string> {
  const { db, artifacts } = stack.orchestrator;
  const path = join(stack.dataFolder, 'large');
  await writeFile(path, Buffer.alloc(BYTES));
  const [build] = await insertBuilds(db);
  if (!build) throw new Error('no build');
  const file = { id: v7(), buildId: build.buildId, name: 'large', contentType: 'text/plain' };
  const stored = { ...file, ...(await artifacts.put(createReadStream(path))) };
  await db.transaction().execute((trx) => insertArtifacts(trx, [stored]));
  return `${server.url}/artifacts/${toPublicId('artifact', file.id)}`;
}

it('a token that has too many under way is refused until one of them ends, and no other token is', async () => {
  await using server = await openFixtureServer({ limits: { operationsPerToken: 1 } });
  const url = await storeArtifact(server);
  const start = (authorization: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      request(url, { headers: { authorization } }, resolve).once('error', reject).end();
    });
  const first = await start(server.authorization);
  const refused = await start(server.authorization);
  expect([first.statusCode, refused.statusCode, refused.headers['retry-after']]).toEqual([200, 429, '1']);
  const other = await start((await server.createToken()).authorization);
  expect(other.statusCode).toBe(200);
  first.destroy();
  await waitFor(
    async () => {
      const next = await start(server.authorization);
      next.destroy();
      return next.statusCode === 200;
    },
    { what: 'a download after the first one' },
  );
  other.destroy();
});
