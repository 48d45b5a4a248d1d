/**
 * Sends what the outbox holds, at least once: a process that dies between the POST and the note of it leaves a lease
 * that runs out, and the same callback goes out again under the same id.
 */
import type { LookupFunction } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { findBuild } from '../builds/build.ts';
import { buildTrace } from '../builds/build-trace.ts';
import type { Config } from '../config/config.ts';
import type { Keyring } from '../credentials/keyring.ts';
import { readSigningSecrets } from '../credentials/signing-secrets.ts';
import type { Database } from '../database/database.ts';
import type { EventHub } from '../events/event-hub.ts';
import { DELIVERIES_TOPIC } from '../events/topics.ts';
import { findProject } from '../projects/project.ts';
import { failpoint } from '../std/failpoint.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import { toPublicId } from '../std/public-id.ts';
import { readTaskDocuments } from '../tasks/list-tasks.ts';
import { findTasks, isTaskFinished } from '../tasks/task.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { formatTraceparent } from '../telemetry/trace-ids.ts';
import { type OpenScope, withScope } from '../telemetry/trace-scope.ts';
import { callbackBody } from './callback.ts';
import { type ClaimedDelivery, claimDeliveries, nextDueInMs, releaseDelivery } from './claim-deliveries.ts';
import { recordAttempt } from './record-attempt.ts';
import { type CallbackAnswer, sendCallback } from './send-callback.ts';
import type { Placed } from './share-places.ts';
import { taskCallbackBody } from './task-callback.ts';

/** A place holds a connection and a body of at most 256 KiB. */
const MAX_SENDING = 64;
const MAX_SENDING_PER_HOST = 4;
/** Hints can be lost, rows cannot. */
const LOOK_EVERY_MS = 5_000;
/** At the end: how long tries that are on their way may still take. */
const CLOSE_GRACE_MS = 5_000;

export interface CallbackDeliveryOptions {
  readonly db: Database;
  readonly hub: EventHub;
  readonly logger: Logger;
  readonly keyring: Keyring;
  readonly telemetry: Telemetry;
  readonly config: Pick<Config, 'callbackAllowPrivate'>;
  /** In place of the system's name look-up. */
  readonly lookup?: LookupFunction;
}

interface Sending extends Placed {
  readonly done: Promise<void>;
}

/** Any number of processes may run one. */
export class CallbackDelivery implements AsyncDisposable {
  readonly #options: CallbackDeliveryOptions;
  readonly #sending = new Set<Sending>();
  /** No new tries. */
  readonly #closing = new AbortController();
  /** The tries on their way are cut off, too. */
  readonly #aborting = new AbortController();
  #loop: Loop | null = null;
  #off: (() => void) | null = null;
  #dueTimer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | null = null;

  constructor(options: CallbackDeliveryOptions) {
    this.#options = options;
  }

  /** Looks for due deliveries at once, on every announcement, when the next becomes due, and every 5 s. */
  open(): void {
    if (this.#loop || this.#closing.signal.aborted) return;
    const loop = startLoop({
      everyMs: LOOK_EVERY_MS,
      work: () => this.#startDue(),
      onError: (error) => this.#options.logger.warn({ err: error }, 'due callbacks could not be looked up'),
    });
    this.#loop = loop;
    this.#off = this.#options.hub.on(DELIVERIES_TOPIC, loop.wake);
    loop.wake();
  }

  /** Starts no more, waits up to 5 s for tries on their way, then cuts them off and gives them back. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    this.#off?.();
    await this.#loop?.stop();
    clearTimeout(this.#dueTimer);
    const all = Promise.all([...this.#sending].map(({ done }) => done));
    const waited = new AbortController();
    await Promise.race([all, delay(CLOSE_GRACE_MS, undefined, { signal: waited.signal }).catch(() => {})]);
    waited.abort();
    this.#aborting.abort();
    await all;
  }

  async #startDue(): Promise<void> {
    clearTimeout(this.#dueTimer);
    // Whatever ends wakes the loop again.
    if (this.#sending.size >= MAX_SENDING || this.#closing.signal.aborted) return;
    const { db } = this.#options;
    const limits = { places: MAX_SENDING, perHost: MAX_SENDING_PER_HOST };
    // Asked before: what becomes due in the meantime is either claimed or waited for.
    const dueInMs = await nextDueInMs(db);
    const claimed = await claimDeliveries(db, { ...limits, sending: [...this.#sending] });
    for (const delivery of claimed) this.#start(delivery);
    if (dueInMs === null || dueInMs > LOOK_EVERY_MS || this.#closing.signal.aborted) return;
    this.#dueTimer = setTimeout(() => this.#loop?.wake(), dueInMs);
  }

  #start(delivery: ClaimedDelivery): void {
    const done = this.#traced(delivery)
      .catch((error) => {
        this.#options.telemetry.systemError('callbacks');
        const fields = { err: error, delivery: toPublicId('delivery', delivery.id) };
        this.#options.logger.warn(fields, 'a callback could not be recorded: it is sent again after its lease');
      })
      .finally(() => {
        this.#sending.delete(sending);
        this.#loop?.wake();
      });
    const sending = { host: delivery.host, projectId: delivery.projectId, done };
    this.#sending.add(sending);
  }

  /** A part of the build's trace. */
  #traced(delivery: ClaimedDelivery): Promise<void> {
    const { tracing } = this.#options.telemetry;
    const { buildId, traceparent, host, tries } = delivery;
    const attributes = { 'http.request.method': 'POST', 'server.address': host, 'http.request.resend_count': tries };
    const parent = buildId === null ? null : buildTrace({ id: buildId, traceparent });
    const span = { name: 'callback', kind: 'client', parent, attributes } as const;
    return withScope({ tracing, span }, (scope) => this.#deliver(delivery, scope));
  }

  async #deliver(delivery: ClaimedDelivery, scope: OpenScope): Promise<void> {
    const { db, logger } = this.#options;
    await failpoint('deliver.claimed');
    const answer = await this.#try(delivery, scope);
    scope.set({ 'http.response.status_code': answer.statusCode });
    if (answer.error !== null && this.#aborting.signal.aborted) {
      await releaseDelivery(db, delivery);
      return;
    }
    if (answer.error !== null) scope.fail(answer.statusCode === null ? 'no_answer' : String(answer.statusCode));
    await failpoint('deliver.sent');
    const next = await recordAttempt(db, { delivery, answer });
    await failpoint('deliver.recorded');
    const fields = {
      delivery: toPublicId('delivery', delivery.id),
      subject: subjectOf(delivery),
      host: delivery.host,
      statusCode: answer.statusCode,
      durationMs: answer.durationMs,
      ...next,
    };
    if (answer.error === null) logger.debug(fields, 'a callback was delivered');
    else logger.warn({ ...fields, error: answer.error }, 'a callback was not delivered');
  }

  async #try(delivery: ClaimedDelivery, scope: OpenScope): Promise<CallbackAnswer> {
    const { db, config, lookup, logger, keyring } = this.#options;
    try {
      const [body, project] = await Promise.all([bodyOf(db, delivery), findProject(db, delivery.projectId)]);
      if (body === null || !project) throw new Error('A delivery needs a build or a task that is finished.');
      const signing = { projectId: project.id, secretVersion: project.secretVersion };
      const secrets = await readSigningSecrets({ db, keyring }, signing);
      const callback = {
        deliveryId: delivery.id,
        url: delivery.url,
        body,
        secrets,
        sentAt: delivery.claimedAt,
        traceparent: delivery.traceparent === null ? null : formatTraceparent(scope.ids),
      };
      const allowPrivate = config.callbackAllowPrivate ?? false;
      const answer = await sendCallback(callback, { allowPrivate, lookup, signal: this.#aborting.signal });
      return { ...answer, response: answer.response && withoutSecrets(answer.response, secrets) };
    } catch (error) {
      // A failed try, and not only a log line: so that it is seen, and comes to an end.
      this.#options.telemetry.systemError('callbacks');
      logger.error({ err: error, delivery: toPublicId('delivery', delivery.id) }, 'a callback could not be prepared');
      const message = 'Slipway could not prepare this callback.';
      return { statusCode: null, error: message, response: null, durationMs: 0, retryAfterMs: null };
    }
  }
}

/** `build_…` or `task_…` */
function subjectOf({ buildId, taskId }: ClaimedDelivery): string {
  return buildId === null ? toPublicId('task', taskId ?? '') : toPublicId('build', buildId);
}

/** Null when what it reports is not finished. */
async function bodyOf(db: Database, { buildId, taskId }: ClaimedDelivery): Promise<string | null> {
  if (buildId !== null) {
    const build = await findBuild(db, buildId);
    return build?.result ? callbackBody({ ...build, result: build.result }) : null;
  }
  const ids = taskId === null ? [] : [taskId];
  const [[task], [documents]] = await Promise.all([findTasks(db, ids), readTaskDocuments(db, ids)]);
  return task && documents && isTaskFinished(task.status) ? taskCallbackBody(task, documents.result) : null;
}

/** A receiver that is being set up may answer with what it knows. */
function withoutSecrets(text: string, secrets: readonly string[]): string {
  const parts = secrets.flatMap((secret) => [secret, secret.slice('whsec_'.length)]);
  return parts.reduce((shown, part) => shown.replaceAll(part, '[redacted]'), text);
}
