import type { AgentRequest } from '../events/event.ts';
import type { Answer } from './build-question.ts';
import type { Interaction } from './build-spec.ts';

/** What the agent is told when nobody answers. `id`: its own name of the request. */
export function defaultAnswerTo(request: AgentRequest, id: string, interaction: Interaction): Answer {
  const { defaultAnswer: text, defaultDecision } = interaction;
  if (request.kind === 'QUESTION') {
    return { type: 'answer', id, answers: text === null ? null : request.questions.map(() => [text]) };
  }
  const allow = defaultDecision === 'APPROVE';
  return { type: 'decision', id, allow, always: false, message: allow ? null : 'Nobody answered in time.' };
}
