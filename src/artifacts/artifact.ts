/** The noun: a file of a build that is kept. The content is in the file store, under its SHA-256. */
import { type Selectable, sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { type Keyset, readChildPages } from '../database/keyset.ts';
import type { ArtifactsTable } from '../database/tables.ts';

export interface NewArtifact {
  /** UUIDv7. */
  readonly id: string;
  readonly buildId: string;
  /** The path below the checkout, with slashes; unique per build. */
  readonly name: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface Artifact extends NewArtifact {
  readonly createdAt: Date;
}

/**
 * Records artifacts in the transaction of the caller, who passes the fence of the attempt in it. What a later attempt
 * collects takes the place of what an earlier one had under the same name. No name may be in the list twice.
 */
export async function insertArtifacts(trx: DatabaseTransaction, artifacts: readonly NewArtifact[]): Promise<void> {
  if (artifacts.length === 0) return;
  await trx
    .insertInto('artifacts')
    .values(
      artifacts.map((artifact) => ({
        id: artifact.id,
        build_id: artifact.buildId,
        name: artifact.name,
        content_type: artifact.contentType,
        size_bytes: artifact.sizeBytes,
        sha256: artifact.sha256,
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['build_id', 'name']).doUpdateSet((row) => ({
        id: row.ref('excluded.id'),
        content_type: row.ref('excluded.content_type'),
        size_bytes: row.ref('excluded.size_bytes'),
        sha256: row.ref('excluded.sha256'),
        created_at: sql<Date>`now()`,
      })),
    )
    .execute();
}

/** Ids are UUIDs. */
export async function findArtifactsById(db: Database, ids: readonly string[]): Promise<Artifact[]> {
  if (ids.length === 0) return [];
  const rows = await db.selectFrom('artifacts').selectAll().where('id', 'in', ids).execute();
  return rows.map(toArtifact);
}

export async function findArtifact(db: Database, id: string): Promise<Artifact | null> {
  return (await findArtifactsById(db, [id]))[0] ?? null;
}

/** All artifacts of these builds, by build and name. */
export async function findArtifacts(db: Database, buildIds: readonly string[]): Promise<Artifact[]> {
  if (buildIds.length === 0) return [];
  const rows = await db
    .selectFrom('artifacts')
    .selectAll()
    .where('build_id', 'in', buildIds)
    .orderBy('build_id')
    .orderBy('name')
    .execute();
  return rows.map(toArtifact);
}

/** The same page of each build's artifacts, in one statement. The key is the artifact's id. */
export async function listArtifactsOf(
  db: Database,
  buildIds: readonly string[],
  keyset: Keyset,
): Promise<Map<string, Artifact[]>> {
  const pages = await readChildPages(db, {
    parents: buildIds,
    childrenOf: (build) => db.selectFrom('artifacts').selectAll().where('build_id', '=', build),
    column: 'id',
    keyset,
  });
  return new Map([...pages].map(([build, rows]) => [build, rows.map(toArtifact)]));
}

function toArtifact(row: Selectable<ArtifactsTable>): Artifact {
  return {
    id: row.id,
    buildId: row.build_id,
    name: row.name,
    contentType: row.content_type,
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    createdAt: row.created_at,
  };
}
