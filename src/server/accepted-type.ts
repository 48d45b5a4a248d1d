/** What an answer may be, by the Accept header of its request. */

/** The last that is accepted is sent. */
const ANSWERS = ['application/graphql-response+json', 'application/json'] as const;
export type AnswerType = (typeof ANSWERS)[number];

/** Null when the caller takes neither, or would rather have something else: then Yoga looks for it. */
export function acceptedType(accept: string | undefined): AnswerType | null {
  if (!accept || accept === '*/*' || accept === 'application/json') return 'application/json';
  for (const range of accept.replace(/\s/g, '').toLowerCase().split(',')) {
    const [type = '', ...params] = range.split(';');
    const charset = params.find((param) => param.includes('charset='));
    if (charset !== undefined && charset !== 'charset=utf-8') continue;
    const answer = ANSWERS.findLast((known) => matches(known, type));
    if (answer) return answer;
  }
  return null;
}

function matches(answer: AnswerType, range: string): boolean {
  const [type, subtype] = range.split('/');
  const [ownType, ownSubtype] = answer.split('/');
  return (type === '*' || type === ownType) && (subtype === '*' || subtype === ownSubtype);
}
