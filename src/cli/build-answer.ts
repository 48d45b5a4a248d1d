import { AnswerBuildQuestionDocument } from '../client/generated.ts';
import { chooseAnswer } from './choose-answer.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findQuestion } from './find-question.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

const NOTHING_TO_CHOOSE = { options: [], multiple: false };

/** One text for each thing that is asked. */
export function buildAnswer(io: Io, id: string, texts: readonly string[], flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const { questions } = await findQuestion(session, id);
    const answers = texts.map((text, index) => chooseAnswer(text, questions[index] ?? NOTHING_TO_CHOOSE));
    const answer = await client.request(AnswerBuildQuestionDocument, { input: { questionId: id, answers } });
    const { question } = accepted(answer.answerBuildQuestion, 'AnswerBuildQuestionPayload');
    if (output.json) output.value(question);
    else output.line(`${id} is answered: ${oneLine(answers.map((chosen) => chosen.join(', ')).join('; '))}`);
    return EXIT.done;
  });
}
