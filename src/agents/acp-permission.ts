/** What an ACP agent that asks may do, and how it is told. */
import { isAbsolute, relative, resolve } from 'node:path';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';

export interface AcpRules {
  /** Absolute paths in which it may change files; relative ones are seen from the first. */
  readonly folders: readonly string[];
  /** People decide what the folders do not. */
  readonly asks: boolean;
}

/** Kinds of tools whose locations are what they change. */
const CHANGES: ReadonlySet<unknown> = new Set(['edit', 'delete', 'move']);

/**
 * On a request `session/request_permission`. Nobody is asked whether files in the folders may be changed; without people
 * everything is allowed but to change others.
 */
export function judgePermission({ toolCall }: JsonFields, { folders, asks }: AcpRules): 'allow' | 'deny' | 'ask' {
  const call = fieldsOf(toolCall);
  const paths = CHANGES.has(call?.kind) ? itemsOf(call?.locations).flatMap(({ path }) => textOf(path) ?? []) : [];
  const leaves = paths.some((path) => !folders.some((folder) => contains(folder, resolve(folders[0] ?? '/', path))));
  if (!asks) return leaves ? 'deny' : 'allow';
  return paths.length > 0 && !leaves ? 'allow' : 'ask';
}

/**
 * The result for the request. A permission that lasts is only given where none for once is offered: agents keep it in a
 * file, which may lie in the checkout.
 */
export function answerPermission(request: JsonFields, allow: boolean): JsonFields {
  const wanted = allow ? ['allow_once', 'allow_always'] : ['reject_once', 'reject_always'];
  const options = itemsOf(request.options);
  const chosen = wanted.map((kind) => options.find((option) => option.kind === kind)).find(Boolean);
  const optionId = textOf(chosen?.optionId);
  return optionId === null ? CANCELLED : { outcome: { outcome: 'selected', optionId } };
}

/** The result where nobody decides any more. */
export const CANCELLED: JsonFields = { outcome: { outcome: 'cancelled' } };

/** Was the tool let, by this answer to this request? */
export function isAllowed(request: JsonFields, answer: JsonFields): boolean {
  const outcome = fieldsOf(answer.outcome);
  const chosen = itemsOf(request.options).find((option) => option.optionId === outcome?.optionId);
  return outcome?.outcome === 'selected' && (textOf(chosen?.kind)?.startsWith('allow') ?? false);
}

function contains(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}
