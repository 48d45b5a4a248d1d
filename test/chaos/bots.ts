/** Bots: each starts builds with keys of its own, asks again until it is answered, talks to some, cancels some, retries some. */
import type { Client } from '../../src/client/client.ts';
import {
  CancelBuildDocument,
  RetryBuildDocument,
  SendBuildMessageDocument,
  SetBuildPriorityDocument,
  StartBuildDocument,
} from '../../src/client/generated.ts';
import { type AskedBuild, type Recorder, uuidOf } from '../faults/history.ts';
import { script } from '../support/script.ts';
import { chooseAgent } from './agents.ts';
import { Asker, pause } from './asker.ts';
import type { Cluster } from './cluster.ts';
import type { Monitor } from './monitor.ts';
import type { ChaosProject } from './projects.ts';
import type { Random } from './random.ts';

const BOTS = 6;
/** Builds that are waiting or running: more would only wait. */
const MAX_UNFINISHED = 32;
const BRANCHES = ['main', 'main', 'next', 'docs', 'wild'];
const PRIORITIES = [0, 0, 0, 0, 2, -2, 50];
export const CONCURRENCY_KEYS = ['database', 'phone'];

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
  priorities: number;
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
    priorities: 0,
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
  readonly #asker: Asker;

  constructor(options: BotOptions, shared: Shared) {
    this.#options = options;
    this.#shared = shared;
    const { random, stopping, counts } = shared;
    this.#asker = new Asker({ cluster: options.cluster, random, stopping, errors: counts.errors });
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
    await this.#asker[Symbol.asyncDispose]();
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
        priority: random.pick(PRIORITIES),
        // Whoever waits for one that takes long would be taken for stuck.
        concurrencyKey: name !== 'long' && random.chance(0.25) ? random.pick(CONCURRENCY_KEYS) : null,
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
    if (random.chance(0.1)) await this.#moveBuild(publicId);
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
    const answer = await this.#asker.untilAnswered(send);
    if (answer === null) return null;
    if (!('build' in answer)) {
      recorder.refused(asked);
      this.#asker.count(answer.code ?? answer.__typename);
      return null;
    }
    recorder.accepted({ ...asked, buildId: uuidOf('build', answer.build.id) });
    return answer.build.id;
  }

  /** To another place in the queue, if it still waits. */
  async #moveBuild(id: string): Promise<void> {
    const { random, counts } = this.#shared;
    const input = { id, priority: random.pick([-50, 10, 90]) };
    const answer = await this.#asker.untilAnswered(
      async (client) => (await client.request(SetBuildPriorityDocument, { input })).setBuildPriority,
    );
    if (answer?.__typename === 'SetBuildPriorityPayload') counts.priorities += 1;
  }

  /** One more file, in a turn of its own, or at once. */
  async #tellBuild(buildId: string, idempotencyKey: string): Promise<void> {
    const { random, counts, stopping } = this.#shared;
    await pause(random.between(0, 2_000), stopping);
    const path = `${idempotencyKey}-told.txt`;
    const text = script({ print: 'told' }, { write: { path, content: `${path}\n` } });
    const input = { buildId, text, mode: random.pick(['QUEUE', 'STEER', 'INTERRUPT'] as const), idempotencyKey };
    const answer = await this.#asker.untilAnswered(
      async (client) => (await client.request(SendBuildMessageDocument, { input })).sendBuildMessage,
    );
    if (answer?.__typename === 'SendBuildMessagePayload') counts.messages += 1;
    else if (answer) counts.messagesTooLate += 1;
  }

  async #cancelBuild(publicId: string): Promise<void> {
    const { random, counts, stopping } = this.#shared;
    await pause(random.between(0, 4_000), stopping);
    const input = { id: publicId, reason: 'the bot has changed its mind' };
    const answer = await this.#asker.untilAnswered(
      async (client) => (await client.request(CancelBuildDocument, { input })).cancelBuild,
    );
    if (answer?.__typename === 'CancelBuildPayload') {
      counts.cancels += 1;
      this.#options.recorder.cancelled(uuidOf('build', publicId));
    } else if (answer) counts.cancelsTooLate += 1;
  }
}

type Started =
  | { readonly __typename: string; readonly build: { readonly id: string } }
  | { readonly __typename: string; readonly code?: string };
