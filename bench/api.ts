/** What figures over HTTP have in common: a database with projects, builds and a token, and servers of programs. */
import { createApiToken } from '../src/auth/api-token.ts';
import { startBuild } from '../src/builds/start-build.ts';
import type { Database } from '../src/database/database.ts';
import { createProject } from '../src/projects/create-project.ts';
import { toPublicId } from '../src/std/public-id.ts';
import type { Bench } from './bench.ts';
import { openProduct } from './product.ts';
import type { Program } from './program.ts';
import type { HttpLoad, HttpLoaded, HttpTurn, main as httpLoad } from './programs/http-load.ts';

/** Of no value: for processes that share a database of the bench. */
export const KEYS = { SLIPWAY_MASTER_KEY: Buffer.alloc(32, 'bench').toString('base64') };

export interface ApiData {
  readonly databaseUrl: string;
  readonly db: Database;
  readonly authorization: string;
  /** `project_…` */
  readonly projectIds: readonly string[];
}

export async function openApiData(
  bench: Bench,
  counts: { readonly projects: number; readonly builds: number },
): Promise<ApiData> {
  const { url: databaseUrl, db } = await bench.database({ migrated: true });
  await using product = await openProduct(databaseUrl, KEYS);
  const { orchestrator } = product;
  const ids: string[] = [];
  for (let n = 0; n < counts.projects; n += 1)
    ids.push((await createProject(orchestrator, { name: `P ${n}` }, 'bench')).id);
  for (let n = 0; n < counts.builds; n += 1) {
    await startBuild(orchestrator, { projectId: ids[n % ids.length] ?? '', spec: { prompt: 'Go on.' } }, 'token_bench');
  }
  const rights = { scopes: ['admin'], projectIds: null, expiresAt: null, createdBy: 'bench' } as const;
  const { token } = await createApiToken(orchestrator.db, { name: 'bench', ...rights });
  return { databaseUrl, db, authorization: `Bearer ${token}`, projectIds: ids.map((id) => toPublicId('project', id)) };
}

/** What each of the servers can be asked. */
export interface HttpServer {
  url(): string;
}

/** `argument`: besides the database. */
export type HttpServerMain = (argument: { readonly databaseUrl: string }) => Promise<HttpServer>;

export interface ApiLoad {
  run(turn: HttpTurn): Promise<HttpLoaded>;
}

/** `server` in a process of its own, and its load in another one. */
export async function openApiLoad(
  bench: Bench,
  server: Program<HttpServer>,
  load: Omit<HttpLoad, 'url'>,
): Promise<ApiLoad> {
  const url = await server.call('url');
  const program = await bench.program<typeof httpLoad>(new URL('programs/http-load.ts', import.meta.url), {
    url,
    ...load,
  });
  return { run: (turn) => program.call('run', turn) };
}
