/** One worker's work at one build, a step at a time, so that anything can happen between two steps. */
import type { ClaimedBuild } from '../../../src/builds/build.ts';
import type { IntendedCommit } from '../../../src/builds/checkpoint.ts';
import type { Ledger } from '../../../src/builds/ledger.ts';
import { SupersededError } from '../../../src/errors.ts';
import type { Remote } from './remote.ts';

export type Step = 'agent' | 'intend' | 'push' | 'prove' | 'finish' | 'cancel' | 'ended';

/** What a step has done; `lost`: the database refused it, because the attempt is over. */
export type Done = 'ran' | 'intended' | 'sent' | 'proved' | 'absent' | 'forbidden' | 'completed' | 'cancelled' | 'lost';

let agents = 0;

export class Attempt {
  readonly build: ClaimedBuild;
  readonly index: number;
  readonly worker: number;
  readonly #ledger: Ledger;
  #commit: IntendedCommit | null;
  step: Step;

  constructor(build: ClaimedBuild, at: { readonly index: number; readonly worker: number; readonly ledger: Ledger }) {
    this.build = build;
    this.index = at.index;
    this.worker = at.worker;
    this.#ledger = at.ledger;
    this.#commit = build.pushIntentSha ? (build.checkpoint.commit ?? null) : null;
    this.step = this.#commit ? 'prove' : build.cancelRequestedAt ? 'cancel' : 'agent';
  }

  async next(remote: Remote): Promise<Done> {
    try {
      return await this.#take(remote);
    } catch (error) {
      if (!(error instanceof SupersededError)) throw error;
      this.step = 'ended';
      return 'lost';
    }
  }

  /** Gives the build back to the queue. */
  async release(): Promise<'released' | 'lost'> {
    this.step = 'ended';
    try {
      await this.#ledger.release('The worker is shutting down.');
      return 'released';
    } catch (error) {
      if (error instanceof SupersededError) return 'lost';
      throw error;
    }
  }

  async #take(remote: Remote): Promise<Done> {
    switch (this.step) {
      case 'agent':
        // No two runs of an agent write the same.
        agents += 1;
        this.#commit = { sha: `commit ${agents}`, branch: 'main', expected: remote.tip, filesChanged: [] };
        this.step = 'intend';
        return 'ran';
      case 'intend': {
        const allowed = await this.#ledger.recordPushIntent(this.#intended(), null);
        this.step = allowed ? 'push' : 'cancel';
        return allowed ? 'intended' : 'forbidden';
      }
      case 'push':
        remote.push({ sha: this.#intended().sha, build: this.index }, this.#intended().expected);
        this.step = 'prove';
        return 'sent';
      case 'prove':
        return this.#prove(remote);
      case 'finish':
        await this.#ledger.finish({ status: 'COMPLETED', result: { publication: 'PUSHED' } });
        this.step = 'ended';
        return 'completed';
      case 'cancel':
        await this.#ledger.finish({ status: 'CANCELLED', result: {}, reason: null });
        this.step = 'ended';
        return 'cancelled';
      case 'ended':
        throw new Error('the attempt has ended');
    }
  }

  /** Not there: the same commit again, or, if the branch has moved, the change on top of it as another commit. */
  async #prove(remote: Remote): Promise<Done> {
    const commit = this.#intended();
    if (!remote.has(commit.sha)) {
      if (remote.tip !== commit.expected) this.#commit = { ...commit, sha: `${commit.sha}'`, expected: remote.tip };
      this.step = 'intend';
      return 'absent';
    }
    await this.#ledger.write({ pushedSha: commit.sha, checkpoint: { pushProved: true } });
    this.step = 'finish';
    return 'proved';
  }

  #intended(): IntendedCommit {
    if (!this.#commit) throw new Error('there is no commit');
    return this.#commit;
  }
}
