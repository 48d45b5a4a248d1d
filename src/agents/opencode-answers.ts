/** How what a session of OpenCode asks is answered: by people, whenever they do, or at once where nobody is there. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentTask, AgentWord } from './agent.ts';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';
import type { OpenCodeClient } from './opencode-client.ts';
import type { OpenCodeRelay } from './opencode-relay.ts';

type Answer = Exclude<AgentWord, { type: 'message' }>;

export interface OpenCodeAnswers {
  /** Answers a request, told as an event, that people are not asked: it would wait for ever. */
  refuse(event: JsonFields): Promise<void>;
  /** Never throws. To a request that does not wait any more: nothing. */
  reply(word: Answer): Promise<void>;
}

const NOBODY_ANSWERS = 'Nobody is there to answer. Go on without it.';
const NOBODY_ANSWERED = 'Nobody answered. Decide as you see fit.';
/** Without a word of it the model would not go on. */
const DENIED = 'It was denied.';
const MAX_TRIES = 3;
const TRY_AGAIN_MS = 200;

export function createOpenCodeAnswers(options: {
  readonly client: OpenCodeClient;
  readonly relay: OpenCodeRelay;
  readonly asks: AgentTask['asks'];
}): OpenCodeAnswers {
  const { client, relay, asks } = options;

  return {
    async refuse({ type, properties }) {
      const request = fieldsOf(properties) ?? {};
      const id = encodeURIComponent(textOf(request.id) ?? '');
      if (!relay.sessions.has(textOf(request.sessionID) ?? '')) return;
      if (type === 'permission.asked' && !asks.permissions) {
        await client.call('POST', `/permission/${id}/reply`, { reply: 'reject', message: NOBODY_ANSWERS });
      } else if (type === 'question.asked' && !asks.questions) await client.call('POST', `/question/${id}/reject`);
    },

    async reply(word) {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const request = relay.requests.get(word.id);
        if (!request) return;
        const { path, body } = replyTo(word, request);
        try {
          if ((await client.call('POST', path, body)).status < 500) return;
        } catch (error) {
          process.stderr.write(`OpenCode took no answer: ${error instanceof Error ? error.message : error}\n`);
        }
        await delay(TRY_AGAIN_MS);
      }
    },
  };
}

function replyTo(word: Answer, request: JsonFields): { readonly path: string; readonly body: JsonFields } {
  const id = encodeURIComponent(word.id);
  if (word.type === 'answer') {
    // People are shown the first ones of many, and OpenCode wants an answer to each.
    const answers = itemsOf(request.questions).map((_, index) => word.answers?.[index] ?? [NOBODY_ANSWERED]);
    return { path: `/question/${id}/reply`, body: { answers } };
  }
  const { allow, always, message } = word;
  const body = allow ? { reply: always ? 'always' : 'once' } : { reply: 'reject', message: message || DENIED };
  return { path: `/permission/${id}/reply`, body };
}
