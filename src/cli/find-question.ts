import { FindQuestionDocument } from '../client/generated.ts';
import type { AskedQuestion } from './describe-question.ts';
import { CliError } from './exit-code.ts';
import type { Session } from './session.ts';

/** Throws CliError when there is no such question. */
export async function findQuestion({ client }: Session, id: string): Promise<AskedQuestion> {
  const { node } = await client.request(FindQuestionDocument, { id });
  if (node?.__typename === 'BuildQuestion') return node;
  throw new CliError(`There is no question ${id}, or this token may not see it.`, { code: 'NOT_FOUND' });
}
