/** Bots: each starts builds with keys of its own, asks again until it is answered, talks to some, cancels some, retries some. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, createClient } from '../../src/client/client.ts';
import { ApiError } from '../../src/client/errors.ts';
import {
  CancelBuildDocument,
  RetryBuildDocument,
  SendBuildMessageDocument,
  StartBuildDocument,
} from '../../src/client/generated.ts';
import { type AskedBuild, type Recorder, uuidOf } from '../faults/history.ts';
import { script } from '../support/script.ts';
import { chooseAgent } from './agents.ts';
import type { ChaosProject, Cluster } from './cluster.ts';
import type { Monitor } from './monitor.ts';
import type { Random } from './random.ts';

const BOTS = 6;
/** Builds that are waiting or running: more would only wait. */
const MAX_UNFINISHED = 24;
const ANSWER_WITHIN_MS = 8_000;
const RETRY_PAUSE_MS = 300;
/** A bot that is asked to stop still wants its last answer. */
const LAST_ANSWER_MS = 20_000;
const BRANCHES = ['main', 'main', 'next', 'docs', 'wild'];

export interface BotOptions {
  readonly cluster: Cluster;
  readonly recorder: Recorder;
  readonly monitor: Monitor;
  readonly random: Random;
  /** Builds at most. */
  readonly limit: number;
  readonly callbackUrls: readonly string[];
  /** Told of every build that was accepted for the first time. */
  readonly onBuild: (publicId: string) => void;
}

export interface BotCounts {
  started: number;
  /** The same key was sent again on purpose. */
  repeated: number;
  cancels: number;
  cancelsTooLate: number;
  retries: number;
  messages: number;
  messagesTooLate: number;
  /** Code of an API error -> how often it was answered. CONNECTION: no answer at all. */
  readonly errors: Record<string, number>;
}

export interface Bots {
  readonly counts: BotCounts;
  /** No more builds; resolves when nobody waits for an answer any more. */
  stop(): Promise<void>;
}

export function startBots(options: BotOptions): Bots {
  const stopping = new AbortController();
  const counts: BotCounts = {
    started: 0,
    repeated: 0,
    cancels: 0,
    cancelsTooLate: 0,
    retries: 0,
    messages: 0,
    messagesTooLate: 0,
    errors: {},
  };
  const bots = Array.from({ length: BOTS }, (_, index) =>
    new Bot(options, { counts, stopping: stopping.signal, random: options.random.fork(`bot ${index}`), index }).run(),
  );
  return {
    counts,
    async stop() {
      stopping.abort();
      await Promise.all(bots);
    },
  };
}

interface Shared {
  readonly counts: BotCounts;
  readonly stopping: AbortSignal;
  readonly random: Random;
  readonly index: number;
}

class Bot {
  readonly #options: BotOptions;
  readonly #shared: Shared;
  readonly #clients: readonly Client[];
  #deadline: number | null = null;

  constructor(options: BotOptions, shared: Shared) {
    this.#options = options;
    this.#shared = shared;
    const { servers, token } = options.cluster;
    this.#clients = servers.map(({ url }) => createClient({ url, token, fetch: impatientFetch }));
  }

  async run(): Promise<void> {
    const { counts, stopping, random, index } = this.#shared;
    for (let number = 1; !stopping.aborted; number += 1) {
      const full = this.#options.monitor.unfinished >= MAX_UNFINISHED || counts.started >= this.#options.limit;
      if (full) {
        await pause(200, stopping);
        continue;
      }
      counts.started += 1;
      const key = `bot-${index}-${number}`;
      const failed = random.chance(0.15) ? this.#options.monitor.takeFailed() : null;
      await (failed ? this.#retryBuild(failed, key) : this.#startBuild(key));
      await pause(random.between(50, 400), stopping);
    }
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  async #startBuild(idempotencyKey: string): Promise<void> {
    const { cluster, callbackUrls, recorder, onBuild } = this.#options;
    const { random, counts } = this.#shared;
    const project = random.pick(cluster.projects);
    const { name, prompt } = chooseAgent({ file: `${idempotencyKey}.txt`, leakScript: cluster.leakScript, random });
    const input = {
      projectId: project.publicId,
      idempotencyKey,
      spec: {
        ...{ prompt, branch: random.pick(BRANCHES), labels: [{ key: 'agent', value: name }] },
        callbackUrl: random.chance(0.6) ? random.pick(callbackUrls) : null,
      },
    };
    const asked = { projectId: project.id, idempotencyKey };
    recorder.asked(asked);
    const send = async (client: Client) => (await client.request(StartBuildDocument, { input })).startBuild;
    const publicId = await this.#accept(asked, send);
    if (publicId === null) return;
    onBuild(publicId);
    if (random.chance(0.1)) {
      counts.repeated += 1;
      await this.#accept(asked, send);
    }
    if (random.chance(0.15)) await this.#tellBuild(publicId, idempotencyKey);
    if (random.chance(0.12)) await this.#cancelBuild(publicId);
  }

  async #retryBuild({ id, project }: { id: string; project: ChaosProject }, idempotencyKey: string): Promise<void> {
    const { recorder, onBuild } = this.#options;
    const asked = { projectId: project.id, idempotencyKey };
    recorder.asked(asked);
    this.#shared.counts.retries += 1;
    const input = { id, idempotencyKey };
    const publicId = await this.#accept(
      asked,
      async (client) => (await client.request(RetryBuildDocument, { input })).retryBuild,
    );
    if (publicId !== null) onBuild(publicId);
  }

  /** The build's id; null when no answer came in time. */
  async #accept(asked: AskedBuild, send: (client: Client) => Promise<Started>): Promise<string | null> {
    const { recorder } = this.#options;
    const answer = await this.#untilAnswered(send);
    if (answer === null) return null;
    if (!('build' in answer)) {
      recorder.refused(asked);
      this.#count(answer.code ?? answer.__typename);
      return null;
    }
    recorder.accepted({ ...asked, buildId: uuidOf('build', answer.build.id) });
    return answer.build.id;
  }

  /** One more file, in a turn of its own, or at once. */
  async #tellBuild(buildId: string, idempotencyKey: string): Promise<void> {
    const { random, counts, stopping } = this.#shared;
    await pause(random.between(0, 2_000), stopping);
    const path = `${idempotencyKey}-told.txt`;
    const text = script({ print: 'told' }, { write: { path, content: `${path}\n` } });
    const input = { buildId, text, mode: random.pick(['QUEUE', 'STEER', 'INTERRUPT'] as const), idempotencyKey };
    const answer = await this.#untilAnswered(
      async (client) => (await client.request(SendBuildMessageDocument, { input })).sendBuildMessage,
    );
    if (answer?.__typename === 'SendBuildMessagePayload') counts.messages += 1;
    else if (answer) counts.messagesTooLate += 1;
  }

  async #cancelBuild(publicId: string): Promise<void> {
    const { random, counts, stopping } = this.#shared;
    await pause(random.between(0, 4_000), stopping);
    const input = { id: publicId, reason: 'the bot has changed its mind' };
    const answer = await this.#untilAnswered(
      async (client) => (await client.request(CancelBuildDocument, { input })).cancelBuild,
    );
    if (answer?.__typename === 'CancelBuildPayload') {
      counts.cancels += 1;
      this.#options.recorder.cancelled(uuidOf('build', publicId));
    } else if (answer) counts.cancelsTooLate += 1;
  }

  /**
   * Asks one server after the other; null when one has refused for good, which is counted, and when none has answered
   * until some time after the bots were stopped.
   */
  async #untilAnswered<T>(send: (client: Client) => Promise<T>): Promise<T | null> {
    const { random, stopping } = this.#shared;
    for (;;) {
      try {
        return await send(random.pick(this.#clients));
      } catch (error) {
        const code = error instanceof ApiError ? error.code : 'CONNECTION';
        this.#count(code);
        if (error instanceof ApiError && !error.retryable && code !== 'RATE_LIMITED') return null;
      }
      if (stopping.aborted) this.#deadline ??= performance.now() + LAST_ANSWER_MS;
      if (this.#deadline !== null && performance.now() > this.#deadline) return null;
      await delay(RETRY_PAUSE_MS * (0.5 + Math.random()));
    }
  }

  #count(code: string): void {
    const { errors } = this.#shared.counts;
    errors[code] = (errors[code] ?? 0) + 1;
  }
}

type Started =
  | { readonly __typename: string; readonly build: { readonly id: string } }
  | { readonly __typename: string; readonly code?: string };

/** A server that was stopped answers nobody. */
const impatientFetch: typeof fetch = (input, init) => {
  const patience = AbortSignal.timeout(ANSWER_WITHIN_MS);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, patience]) : patience });
};

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => {});
}
