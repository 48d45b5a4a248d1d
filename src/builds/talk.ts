/** Carries words between people and a running agent: what they tell it, and their answers to what it asks. */
import type { AgentEvent, AgentRun, AgentWord } from '../agents/agent.ts';
import type { AgentRequest, NewBuildEvent } from '../events/event.ts';
import { type Loop, startLoop } from '../std/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { AgentClocks } from './agent-clocks.ts';
import { type BuildQuestion, MAX_QUESTIONS } from './build-question.ts';
import { type Interaction, UNATTENDED } from './build-spec.ts';
import { defaultAnswerTo } from './default-answer.ts';
import type { TalkChanges } from './ledger-store.ts';
import type { RunningBuild } from './running-build.ts';

/** The doorbell says when there is something; this is for a worker that does not hear it. */
const LOOK_EVERY_MS = 60_000;
const LOOK_AGAIN_MS = 500;
const MESSAGE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface TalkOptions {
  readonly running: RunningBuild;
  readonly run: AgentRun;
  readonly clocks: AgentClocks;
  readonly logger: Logger;
  /** How many questions the build has had. */
  readonly asked: number;
  /** A message does not wait for the end of the turn. */
  readonly interrupt: () => void;
}

export class Talk {
  readonly #options: TalkOptions;
  readonly #interaction: Interaction;
  readonly #loop: Loop;
  readonly #off: () => void;
  /** Words that the run was given by us. */
  readonly #told = new Set<string>();
  #asked: number;
  #warned = false;
  #due: NodeJS.Timeout | undefined;

  constructor(options: TalkOptions) {
    const { running, run, logger } = options;
    this.#options = options;
    this.#interaction = running.build.spec.interaction ?? UNATTENDED;
    this.#asked = options.asked;
    this.#loop = startLoop({
      everyMs: LOOK_EVERY_MS,
      retryMs: LOOK_AGAIN_MS,
      work: () => this.#look(),
      onError: (error) => logger.warn({ error, build: running.build.id }, 'what people said is told later'),
    });
    this.#off = running.bell.listen(this.#loop.wake);
    // What an earlier attempt has asked may be answered by now, or late.
    if (run.reattached && options.asked > 0) this.#loop.wake();
  }

  /** What these events of the agent change: to be written with them, and then `written` is called. */
  changes(events: readonly AgentEvent[]): { readonly talk?: TalkChanges; readonly events: readonly NewBuildEvent[] } {
    const asked = events.filter((event) => event.type === 'asked');
    const withdrawn = events.flatMap((event) => (event.type === 'request_closed' ? [event.requestId] : []));
    const ids = events.flatMap((event) =>
      event.type === 'message_taken' && MESSAGE_ID.test(event.messageId) ? [event.messageId] : [],
    );
    if (asked.length + withdrawn.length + ids.length === 0) return { events: [] };
    const { questions: mayAsk, approvals } = this.#interaction;
    // A command can print such a line, too: what the build may not ask is settled without people.
    const allowed = asked.filter(({ request }) => (request.kind === 'QUESTION' ? mayAsk : approvals));
    const questions = allowed.slice(0, Math.max(0, MAX_QUESTIONS - this.#asked));
    this.#asked += allowed.length;
    this.#settle(asked.filter((event) => !questions.includes(event)));
    const { runNo = 0 } = this.#options.running.ledger.checkpoint;
    return {
      talk: {
        asked: { questions, runNo, waitSeconds: this.#interaction.waitSeconds },
        withdrawn,
        delivered: { ids, as: 'STEER' },
      },
      events: questions.length < allowed.length ? this.#warn() : [],
    };
  }

  written(): void {
    this.#loop.wake();
  }

  async stop(): Promise<void> {
    this.#off();
    await this.#loop.stop();
    // Last: the last round may have set it.
    clearTimeout(this.#due);
  }

  /** Gives them their default at once. */
  #settle(asked: readonly { readonly requestId: string; readonly request: AgentRequest }[]): void {
    for (const { requestId, request } of asked) {
      this.#tell(requestId, defaultAnswerTo(request, requestId, this.#interaction)).catch((error: unknown) =>
        this.#options.logger.warn({ error }, 'an agent that asks too much is not answered'),
      );
    }
  }

  /** Once. */
  #warn(): NewBuildEvent[] {
    if (this.#warned) return [];
    this.#warned = true;
    const message = `The agent has asked more than ${MAX_QUESTIONS} questions: what it asks now is given its default.`;
    return [{ type: 'WARNING', data: { message } }];
  }

  async #look(): Promise<void> {
    if (this.#options.running.signal.aborted) return;
    await this.#giveMessages();
    await this.#giveAnswers();
  }

  async #giveMessages(): Promise<void> {
    const { running, interrupt } = this.#options;
    const { agent, ledger } = running;
    const messages = await ledger.ask('messages');
    // What the present run has begun with is on its way to being delivered.
    const begunWith = new Set(ledger.checkpoint.turn?.messageIds);
    const pending = messages.filter(({ id, state }) => state === 'PENDING' && !begunWith.has(id));
    if (pending.some(({ mode }) => mode === 'INTERRUPT')) {
      // Whoever comes next knows that this run did not end by itself.
      if (!ledger.checkpoint.interrupting) await ledger.write({ checkpoint: { interrupting: true } });
      interrupt();
      return;
    }
    if (!agent.capabilities.messages.includes('STEER')) return;
    for (const { id, mode, text } of pending) {
      if (mode === 'STEER') await this.#tell(id, { type: 'message', id, text });
    }
  }

  async #giveAnswers(): Promise<void> {
    const { running, clocks } = this.#options;
    const { ledger } = running;
    const { runNo = 0, agentStartedAt } = ledger.checkpoint;
    const questions = (await ledger.ask('questions')).filter((question) => question.runNo === runNo);
    for (const { id, answer } of questions) if (answer) await this.#tell(id, answer);
    const open = questions.filter(({ state }) => state === 'OPEN');
    if (open.length > 0) {
      clocks.hold();
      return this.#waitFor(open);
    }
    const waitedMs = clocks.release();
    if (waitedMs === 0 || !agentStartedAt) return;
    const shifted = new Date(Date.parse(agentStartedAt) + waitedMs).toISOString();
    await ledger.write({ checkpoint: { agentStartedAt: shifted } });
  }

  /** Looks again when the first of them is to be given its default; those that are late are given it. */
  async #waitFor(open: readonly BuildQuestion[]): Promise<void> {
    const { ledger } = this.#options.running;
    const dueInMs = Math.min(...open.map(({ expiresAt }) => expiresAt.getTime() - Date.now()));
    if (dueInMs <= 0 && (await ledger.expireQuestions())) {
      return this.#loop.wake();
    }
    clearTimeout(this.#due);
    // The database's clock decides, and it may be behind ours.
    this.#due = setTimeout(this.#loop.wake, Math.min(Math.max(dueInMs, LOOK_AGAIN_MS), LOOK_EVERY_MS));
  }

  async #tell(key: string, word: AgentWord): Promise<void> {
    if (this.#told.has(key)) return;
    await this.#options.run.tell(word);
    this.#told.add(key);
  }
}
