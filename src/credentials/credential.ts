/** The noun: a named secret of a project, or of all projects. People write it, workers read it, no API gives it out. */
import type { Selectable } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { CredentialsTable } from '../database/tables.ts';

export type CredentialKind = CredentialsTable['kind'];

/** Of one project, or of all projects together. */
export const MAX_CREDENTIALS = 50;

/** The credential that `gitCredentials` of a project are kept as. */
export const GIT_CREDENTIAL = 'git';

/** What may be known of a credential: everything but its value. */
export interface Credential {
  /** UUID. */
  readonly id: string;
  /** UUID; null for every project. */
  readonly projectId: string | null;
  readonly name: string;
  readonly kind: CredentialKind;
  /** GIT: an origin. MODEL_API_KEY: a variable. REGISTRY: a URL. DEPLOY: an environment. CALLBACK_SIGNING: null. */
  readonly target: string | null;
  /** MODEL_API_KEY: where requests with this key go; null for the provider's own address. */
  readonly baseUrl: string | null;
  /** The master key that it is sealed with. */
  readonly keyId: string;
  /** MODEL_API_KEY: builds that run with it at the same time; null for any number. */
  readonly maxRunning: number | null;
  /** CALLBACK_SIGNING: until then the secret before this one signs, too. */
  readonly previousUntil: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** To the minute; null when no build has used it. */
  readonly lastUsedAt: Date | null;
}

/** What the seal of a credential belongs to: a row that was copied or changed does not open. */
export function credentialContext(
  row: Pick<Selectable<CredentialsTable>, 'project_id' | 'name' | 'kind' | 'target' | 'base_url'>,
): string {
  return [row.project_id ?? '*', row.name, row.kind, row.target ?? '', row.base_url ?? ''].join('|');
}

/** The context of the credentials that were stored before there were kinds. */
export function formerContext(row: Pick<Selectable<CredentialsTable>, 'project_id' | 'name'>): string {
  return `${row.project_id}|${row.name}`;
}

export function toCredential(row: Omit<Selectable<CredentialsTable>, 'sealed' | 'previous_sealed'>): Credential {
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    kind: row.kind,
    target: row.target,
    baseUrl: row.base_url,
    keyId: row.key_id,
    maxRunning: row.max_running,
    previousUntil: row.previous_until,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastUsedAt: row.last_used_at,
  };
}

/** The columns of `toCredential`: nothing sealed leaves the database with them. */
export const CREDENTIAL_COLUMNS = [
  'id',
  'project_id',
  'name',
  'kind',
  'target',
  'base_url',
  'key_id',
  'max_running',
  'previous_until',
  'created_at',
  'updated_at',
  'last_used_at',
] as const satisfies readonly (keyof CredentialsTable)[];

/** By name, for each scope that is asked for: UUIDs of projects, or null for those of every project. */
export async function listCredentials(db: Database, scopes: readonly (string | null)[]): Promise<Credential[]> {
  const projectIds = scopes.filter((scope) => scope !== null);
  const rows = await db
    .selectFrom('credentials')
    .select(CREDENTIAL_COLUMNS)
    .where((row) =>
      row.or([
        ...(projectIds.length > 0 ? [row('project_id', 'in', projectIds)] : []),
        ...(scopes.includes(null) ? [row('project_id', 'is', null)] : []),
      ]),
    )
    .orderBy('name')
    .limit(2 * MAX_CREDENTIALS * Math.max(1, scopes.length))
    .execute();
  return rows.map(toCredential);
}

/** Those of these projects whose callbacks a credential signs, its own or one of every project. */
export async function findSigned(
  db: Database | DatabaseTransaction,
  projectIds: readonly string[],
): Promise<Set<string>> {
  const rows = await db
    .selectFrom('credentials')
    .select('project_id')
    .where('kind', '=', 'CALLBACK_SIGNING')
    .where((row) => row.or([row('project_id', 'in', projectIds), row('project_id', 'is', null)]))
    .execute();
  const all = rows.some((row) => row.project_id === null);
  return new Set(projectIds.filter((id) => all || rows.some((row) => row.project_id === id)));
}

/** Is there a key for this variable, of the project or of every project? */
export async function hasModelKey(
  db: Database,
  { projectId, variable }: { readonly projectId: string; readonly variable: string },
): Promise<boolean> {
  const row = await db
    .selectFrom('credentials')
    .select('id')
    .where('kind', '=', 'MODEL_API_KEY')
    .where('target', '=', variable)
    .where((one) => one.or([one('project_id', '=', projectId), one('project_id', 'is', null)]))
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
