/** What OpenCode asks people, as it is told to them: every text is cut. */
import { type AgentQuestion, type AgentRequest, MAX_EVENT_TEXT } from '../events/event.ts';
import { cutJson } from './cut-json.ts';
import { cutText } from './cut-text.ts';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';
import { nameOf } from './line-events.ts';

const MAX_QUESTIONS = 10;
const MAX_OPTIONS = 20;
/** Characters of an option: there may be many. */
const MAX_OPTION = 1000;

/** Of `question.asked`. */
export function questionRequest({ questions }: JsonFields): AgentRequest {
  return { kind: 'QUESTION', questions: itemsOf(questions).slice(0, MAX_QUESTIONS).map(readQuestion) };
}

/** Of `permission.asked`. `always` are the patterns that an answer for the rest of the run would allow. */
export function permissionRequest({ permission, patterns, metadata, always }: JsonFields): AgentRequest {
  const details = fieldsOf(metadata) ?? {};
  const input = Object.keys(details).length > 0 ? details : { patterns };
  const lasting = Array.isArray(always) ? always.flatMap((pattern) => textOf(pattern) ?? []).join(', ') : '';
  return {
    kind: 'PERMISSION',
    tool: nameOf(permission) ?? '',
    input: cutJson(input, MAX_EVENT_TEXT),
    description: lasting === '' ? null : cutText(`“Always” would allow: ${lasting}`, MAX_EVENT_TEXT),
  };
}

function readQuestion({ question, header, options, multiple }: JsonFields): AgentQuestion {
  return {
    question: cutText(textOf(question) ?? '', MAX_EVENT_TEXT),
    header: nameOf(header),
    options: itemsOf(options)
      .slice(0, MAX_OPTIONS)
      .map(({ label, description }) => ({
        label: cutText(textOf(label) ?? '', MAX_OPTION),
        description: cutText(textOf(description) ?? '', MAX_OPTION) || null,
      })),
    multiple: multiple === true,
  };
}
