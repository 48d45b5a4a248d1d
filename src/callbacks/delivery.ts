/** The noun: the report of a finished build or task, and the tries to hand it over. */
import type { Selectable } from 'kysely';
import type { Database } from '../database/database.ts';
import type { DeliveriesTable, DeliveryAttemptsTable } from '../database/tables.ts';

export const DELIVERY_STATUSES = ['PENDING', 'DELIVERED', 'FAILED'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

export interface Delivery {
  /** UUID; see `messageId` for how the receiver sees it. */
  readonly id: string;
  /** Exactly one of these two: what it reports. */
  readonly buildId: string | null;
  readonly taskId: string | null;
  readonly projectId: string;
  readonly kind: DeliveriesTable['kind'];
  readonly url: string;
  readonly status: DeliveryStatus;
  /** In the current round; a redelivery starts a new one. */
  readonly tries: number;
  /** When it is tried next; null when it is not. */
  readonly dueAt: Date | null;
  readonly deliveredAt: Date | null;
  readonly createdAt: Date;
}

export interface DeliveryAttempt {
  readonly deliveryId: string;
  /** 1, 2, 3 … over all rounds; the newest 50 are kept. */
  readonly attemptNo: number;
  readonly at: Date;
  readonly durationMs: number;
  /** Null when no answer came. */
  readonly statusCode: number | null;
  /** Why it failed; null exactly when the receiver has accepted it. */
  readonly error: string | null;
  /** The first 4 KiB of what the receiver answered, written by the receiver: never trust it. */
  readonly response: string | null;
}

/** The `webhook-id` header: the same at every try, so that the receiver can drop what it has seen. */
export function messageId(deliveryId: string): string {
  return `msg_${deliveryId.replaceAll('-', '')}`;
}

export async function findDeliveries(db: Database, buildIds: readonly string[]): Promise<Delivery[]> {
  if (buildIds.length === 0) return [];
  const rows = await db
    .selectFrom('deliveries')
    .selectAll()
    .where('build_id', 'in', buildIds)
    .orderBy('build_id')
    .orderBy('id')
    .execute();
  return rows.map(toDelivery);
}

/** Of tasks that are no builds. */
export async function findTaskDeliveries(db: Database, taskIds: readonly string[]): Promise<Delivery[]> {
  if (taskIds.length === 0) return [];
  const rows = await db.selectFrom('deliveries').selectAll().where('task_id', 'in', taskIds).orderBy('id').execute();
  return rows.map(toDelivery);
}

export async function findDeliveriesById(db: Database, ids: readonly string[]): Promise<Delivery[]> {
  if (ids.length === 0) return [];
  const rows = await db.selectFrom('deliveries').selectAll().where('id', 'in', ids).execute();
  return rows.map(toDelivery);
}

/** All tries that are kept of these deliveries, by delivery and number. */
export async function findDeliveryAttempts(db: Database, deliveryIds: readonly string[]): Promise<DeliveryAttempt[]> {
  if (deliveryIds.length === 0) return [];
  const rows = await db
    .selectFrom('delivery_attempts')
    .selectAll()
    .where('delivery_id', 'in', deliveryIds)
    .orderBy('delivery_id')
    .orderBy('attempt_no')
    .execute();
  return rows.map(toDeliveryAttempt);
}

export function toDelivery(row: Selectable<DeliveriesTable>): Delivery {
  return {
    id: row.id,
    buildId: row.build_id,
    taskId: row.task_id,
    projectId: row.project_id,
    kind: row.kind,
    url: row.url,
    status: row.status,
    tries: row.tries,
    dueAt: row.due_at,
    deliveredAt: row.delivered_at,
    createdAt: row.created_at,
  };
}

function toDeliveryAttempt(row: Selectable<DeliveryAttemptsTable>): DeliveryAttempt {
  return {
    deliveryId: row.delivery_id,
    attemptNo: row.attempt_no,
    at: row.at,
    durationMs: row.duration_ms,
    statusCode: row.status_code,
    error: row.error,
    response: row.response,
  };
}
