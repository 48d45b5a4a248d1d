/** What an agent of a running build asks, without an agent. */
import { openQuestions, refreshWaiting } from '../../src/builds/build-question.ts';
import { appendEvents } from '../../src/events/append-events.ts';
import type { AgentQuestion, AgentRequest } from '../../src/events/event.ts';
import { eventsTopic } from '../../src/events/topics.ts';
import type { TestStack } from './orchestrator.ts';

export function question(text: string, options: readonly string[] = [], multiple = false): AgentQuestion {
  const labels = options.map((label) => ({ label, description: null }));
  return { question: text, header: null, options: labels, multiple };
}

/** The UUID of the question that is open now. */
export async function askByHand(
  { orchestrator: { db, hub } }: TestStack,
  buildId: string,
  request: AgentRequest,
): Promise<string> {
  const id = await db.transaction().execute(async (trx) => {
    const questions = [{ requestId: `request ${Math.random()}`, request }];
    const [event] = await openQuestions(trx, buildId, { questions, runNo: 1, waitSeconds: 600 });
    if (event?.type !== 'QUESTION_ASKED') throw new Error('nothing was asked');
    await refreshWaiting(trx, buildId);
    await appendEvents(trx, { buildId, attemptNo: null }, [event]);
    return event.data.questionId;
  });
  hub.announce(eventsTopic(buildId));
  return id;
}
