/** What an agent asks, for a person who is to answer. Everything in it may come from the agent, so everything is cleaned. */
import type { QuestionFieldsFragment } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { formatTime } from './format.ts';

const MAX_TEXT = 500;

export type AskedQuestion = QuestionFieldsFragment;

/** What it wants, in a few words. */
export function describeQuestion({ kind, questions, tool, input }: AskedQuestion): string {
  if (kind === 'PERMISSION') return `wants to use ${tool ?? 'a tool'} ${input === null ? '' : JSON.stringify(input)}`;
  return `asks: ${questions.map(({ question }) => question).join(' ')}`;
}

/** All of it in lines, with the commands that answer it. */
export function explainQuestion(asked: AskedQuestion): string[] {
  const until = `The build waits for people until ${formatTime(asked.expiresAt)}.`;
  if (asked.kind === 'PERMISSION') {
    const description = asked.description ? [`  ${oneLine(asked.description, MAX_TEXT)}`] : [];
    return [
      `The agent ${oneLine(describeQuestion(asked), MAX_TEXT)}`,
      ...description,
      `${until} To allow or to refuse it:`,
      `  slipway build approve ${asked.id}`,
      `  slipway build reject ${asked.id}`,
    ];
  }
  const several = asked.questions.some(({ multiple }) => multiple) ? ', several with commas between them' : '';
  return [
    ...asked.questions.flatMap(explain),
    `${until} To answer, with a number, a label or words of your own${several}:`,
    `  slipway build answer ${asked.id} ${asked.questions.map(() => 'ANSWER').join(' ')}`,
  ];
}

function explain({ question, header, options, multiple }: AskedQuestion['questions'][number]): string[] {
  const head = header ? `${header}: ` : '';
  return [
    `${oneLine(head + question, MAX_TEXT)}${multiple ? ' (more than one may be chosen)' : ''}`,
    ...options.map(({ label, description }, index) =>
      oneLine(`${index + 1}. ${label}${description ? ` (${description})` : ''}`, MAX_TEXT).replace(/^/, '  '),
    ),
  ];
}
