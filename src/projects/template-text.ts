/**
 * The language of templates: Liquid, cut down to what cannot do harm. Templates see variables and nothing else: no
 * files, no clock (a second attempt renders the same bytes), no loops, and only the tags and filters listed here.
 */
import { type Context, Liquid } from 'liquidjs';
import { InvalidInputError } from '../errors.ts';

/** Characters of one text before it is rendered. */
const MAX_SOURCE_LENGTH = 1024 * 1024;
/** Characters that one rendering may make, values and everything in between. */
const MAX_MADE_LENGTH = 8 * 1024 * 1024;
const MAX_MILLISECONDS = 2000;

const TAGS = new Set(['if', 'unless', 'case', 'comment', 'raw', '#']);
const FILTERS = new Set([
  'append',
  'capitalize',
  'default',
  'downcase',
  'escape',
  'json',
  'prepend',
  'strip',
  'upcase',
]);

const engine = createEngine();

function createEngine(): Liquid {
  const liquid = new Liquid({
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    templates: {},
    parseLimit: MAX_SOURCE_LENGTH,
    renderLimit: MAX_MILLISECONDS,
    memoryLimit: MAX_MADE_LENGTH,
    outputEscape: chargeOutput,
  });
  keepOnly(liquid.tags, TAGS);
  keepOnly(liquid.filters, FILTERS);
  return liquid;
}

function keepOnly(record: Record<string, unknown>, names: ReadonlySet<string>): void {
  for (const name of Object.keys(record)) {
    if (!names.has(name)) delete record[name];
  }
}

/** Liquid counts what filters make, but not what is printed: a large value printed often would get past its limit. */
function chargeOutput(this: { readonly context: Context }, value: unknown): string {
  const text = String(value ?? '');
  this.context.memoryLimit.use(text.length);
  return text;
}

/** The variables that a text reads, without duplicates. Throws like `renderText`. */
export function variablesOf(text: string, where: string): string[] {
  return refusing(where, () => engine.globalVariablesSync(engine.parse(text)));
}

/**
 * Renders one text. Throws InvalidInputError (TEMPLATE_FAILED), naming `where`, when the text is not valid, reads a
 * variable that is not in `values`, or exceeds a limit.
 */
export function renderText(text: string, values: Readonly<Record<string, string>>, where: string): string {
  return refusing(where, () => String(engine.parseAndRenderSync(text, values)));
}

export function templateFailed(where: string, message: string): InvalidInputError {
  return new InvalidInputError([{ path: ['template', where], message }], 'TEMPLATE_FAILED');
}

function refusing<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw templateFailed(where, error instanceof Error ? error.message : String(error));
  }
}
