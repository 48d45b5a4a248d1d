/** Who did what, written in the transaction that does it. */
import type { DatabaseTransaction } from './database.ts';

export interface AuditEntry {
  /** `token_…`, `worker_…` or `system`. */
  readonly actor: string;
  /** The API's verb: `startBuild`. */
  readonly action: string;
  readonly subjectType: 'project' | 'build' | 'token' | 'delivery';
  readonly subjectId: string;
  readonly projectId: string | null;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export async function audit(trx: DatabaseTransaction, entry: AuditEntry): Promise<void> {
  await trx
    .insertInto('audit_log')
    .values({
      actor: entry.actor,
      action: entry.action,
      subject_type: entry.subjectType,
      subject_id: entry.subjectId,
      project_id: entry.projectId,
      detail: JSON.stringify(entry.detail ?? {}),
    })
    .execute();
}
