/** What an ACP agent that asks may do: everything, but change files outside of the build's own folders. */
import { isAbsolute, relative, resolve } from 'node:path';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';

/** Kinds of tools whose locations are what they change. */
const CHANGES: ReadonlySet<unknown> = new Set(['edit', 'delete', 'move']);

/**
 * The result for `session/request_permission`. `folders`: absolute paths in which it may change files. A permission that
 * lasts is only given where none for once is offered: agents keep it in a file, which may lie in the checkout.
 */
export function answerPermission(params: JsonFields, folders: readonly string[]): JsonFields {
  const wanted = leavesFolders(params, folders) ? ['reject_once', 'reject_always'] : ['allow_once', 'allow_always'];
  const options = itemsOf(params.options);
  const chosen = wanted.map((kind) => options.find((option) => option.kind === kind)).find(Boolean);
  const optionId = textOf(chosen?.optionId);
  return { outcome: optionId === null ? { outcome: 'cancelled' } : { outcome: 'selected', optionId } };
}

/** Was the tool let, by this answer to this request? */
export function isAllowed(request: JsonFields, answer: JsonFields): boolean {
  const outcome = fieldsOf(answer.outcome);
  const chosen = itemsOf(request.options).find((option) => option.optionId === outcome?.optionId);
  return outcome?.outcome === 'selected' && (textOf(chosen?.kind)?.startsWith('allow') ?? false);
}

function leavesFolders({ toolCall }: JsonFields, folders: readonly string[]): boolean {
  const call = fieldsOf(toolCall);
  if (!CHANGES.has(call?.kind)) return false;
  const paths = itemsOf(call?.locations).flatMap(({ path }) => textOf(path) ?? []);
  return paths.some((path) => !folders.some((folder) => contains(folder, resolve(folders[0] ?? '/', path))));
}

function contains(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}
