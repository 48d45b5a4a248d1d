/**
 * What the world outside was told while faults happened: clients that asked for builds, subscribers that watched them,
 * receivers that were called. The oracle holds it against the rows. Ids are UUIDs without their prefix.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { Webhook } from 'standardwebhooks';
import type { CallbackPayload } from '../../src/callbacks/callback.ts';
import { fromPublicId } from '../../src/std/public-id.ts';
import { type TaskHistory, TaskRecorder } from './task-history.ts';

export interface History {
  /** Answers that gave a build; one entry per answer, so a key that was sent twice may be here twice. */
  readonly accepted: readonly AcceptedBuild[];
  /** Keys that were sent and to which no answer ever came: there may be a build, or none. */
  readonly unanswered: readonly AskedBuild[];
  /** The API said that the build is, or will be, cancelled. `at` in milliseconds since 1970. */
  readonly cancelled: readonly { readonly buildId: string; readonly at: number }[];
  readonly subscriptions: readonly SubscriptionRecord[];
  /** Every request that reached a receiver, whatever it answered. */
  readonly deliveries: readonly DeliveryRecord[];
  readonly tasks: TaskHistory;
}

export interface AskedBuild {
  readonly projectId: string;
  readonly idempotencyKey: string;
}

export interface AcceptedBuild extends AskedBuild {
  readonly buildId: string;
}

export interface SubscriptionRecord {
  readonly buildId: string;
  /** The cursor that it began behind. */
  readonly after: number;
  /** In the order in which its reader was given them, over all of its connections. */
  readonly cursors: readonly number[];
  /** It saw the end of the build; false when its reader left before. */
  readonly ended: boolean;
}

export interface DeliveryRecord {
  /** The header `webhook-id`. */
  readonly webhookId: string;
  /** Of the build or task that it reports. */
  readonly subjectId: string;
  /** The signature is that of the build's project. */
  readonly verified: boolean;
  /** The receiver answered 2xx. */
  readonly accepted: boolean;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** A subscription while it is open. */
export interface SubscriptionRecorder {
  /** The cursor of each event, as the API writes it. */
  saw(cursor: string): void;
  ended(): void;
}

/** Collects a history. Its memory grows with the number of builds and of the events that were watched. */
export class Recorder {
  readonly tasks = new TaskRecorder();
  readonly #asked = new Map<string, AskedBuild>();
  readonly #accepted: AcceptedBuild[] = [];
  readonly #cancelled: { buildId: string; at: number }[] = [];
  readonly #subscriptions: (Omit<SubscriptionRecord, 'cursors' | 'ended'> & { cursors: number[]; ended: boolean })[] =
    [];
  readonly #deliveries: DeliveryRecord[] = [];

  get history(): History {
    const answered = new Set(this.#accepted.map(keyOf));
    return {
      accepted: this.#accepted,
      unanswered: [...this.#asked.values()].filter((asked) => !answered.has(keyOf(asked))),
      cancelled: this.#cancelled,
      subscriptions: this.#subscriptions,
      deliveries: this.#deliveries,
      tasks: this.tasks,
    };
  }

  /** Before a mutation with this key is sent for the first time. */
  asked(build: AskedBuild): void {
    this.#asked.set(keyOf(build), build);
  }

  /** The API refused: no build may have this key. */
  refused(build: AskedBuild): void {
    this.#asked.delete(keyOf(build));
  }

  accepted(build: AcceptedBuild): void {
    this.#accepted.push(build);
  }

  cancelled(buildId: string): void {
    this.#cancelled.push({ buildId, at: Date.now() });
  }

  subscribed(buildId: string, after = 0): SubscriptionRecorder {
    const record = { buildId, after, cursors: [] as number[], ended: false };
    this.#subscriptions.push(record);
    return {
      saw: (cursor) => void record.cursors.push(Number(cursor)),
      ended: () => {
        record.ended = true;
      },
    };
  }

  delivered(delivery: DeliveryRecord): void {
    this.#deliveries.push(delivery);
  }
}

function keyOf({ projectId, idempotencyKey }: AskedBuild): string {
  return `${projectId} ${idempotencyKey}`;
}

/** The UUID in an id of the API. Throws when it is none of this type. */
export function uuidOf(type: 'build' | 'project' | 'task' | 'schedule', publicId: string): string {
  const uuid = fromPublicId(type, publicId);
  if (uuid === null) throw new Error(`${publicId} is not the id of a ${type}`);
  return uuid;
}

/** Gives on what a subscription gives, and records its cursors; it has ended when the stream ends after FINISHED. */
export async function* recordWatch<Event extends { readonly cursor: string; readonly type: string }>(
  recorder: Recorder,
  watch: { readonly buildId: string; readonly after?: number; readonly events: AsyncIterable<Event> },
): AsyncGenerator<Event, void, undefined> {
  const record = recorder.subscribed(watch.buildId, watch.after);
  let last: string | null = null;
  for await (const event of watch.events) {
    record.saw(event.cursor);
    last = event.type;
    yield event;
  }
  if (last === 'FINISHED') record.ended();
}

/** Records a callback as it came, and whether its signature is right. `secretOf` gives a project's `whsec_…`. */
export function recordDelivery(
  recorder: Recorder,
  call: {
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
    readonly accepted: boolean;
    readonly secretOf: (projectId: string) => string;
  },
): void {
  const payload = JSON.parse(call.body) as Pick<CallbackPayload, 'task_id' | 'project_id'> & Partial<CallbackPayload>;
  const webhookId = String(call.headers['webhook-id']);
  let verified = true;
  try {
    const secret = call.secretOf(uuidOf('project', payload.project_id));
    new Webhook(secret).verify(call.body, call.headers as Record<string, string>);
  } catch {
    verified = false;
  }
  const { build_id: build, task_id: task } = payload;
  const subjectId = build === undefined ? uuidOf('task', task) : uuidOf('build', build);
  recorder.delivered({ webhookId, subjectId, verified, accepted: call.accepted, at: Date.now() });
}
