/**
 * JSON Schema of payloads. Schemas and payloads are somebody else's: both run within a limit of time, because a pattern or
 * `uniqueItems` can take as long as it likes, and nothing is fetched for a `$ref`.
 */
import { createHash } from 'node:crypto';
import vm from 'node:vm';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { canonicalJson } from '../std/canonical-json.ts';

/** Of a machine that is busy, too. */
const COMPILE_WITHIN_MS = 5_000;
const CHECK_WITHIN_MS = 500;
/** Compiled schemas of this process. */
const MAX_COMPILED = 200;
const MAX_MESSAGE_LENGTH = 300;

/** By the schema's hash; the one that was used longest ago goes first. */
const compiled = new Map<string, ValidateFunction>();

/** One sentence; null when the schema can be used. */
export function schemaProblem(schema: Readonly<Record<string, unknown>>): string | null {
  try {
    validatorOf(schema);
    return null;
  } catch (error) {
    return `is not a JSON Schema that can be used: ${describe(error)}`;
  }
}

interface PayloadProblem {
  readonly path: readonly string[];
  readonly message: string;
}

export function payloadProblem(schema: Readonly<Record<string, unknown>>, payload: unknown): PayloadProblem | null {
  try {
    const validate = validatorOf(schema);
    if (within(CHECK_WITHIN_MS, () => validate(payload ?? null))) return null;
    const [error] = validate.errors ?? [];
    const path = (error?.instancePath ?? '').split('/').slice(1).map(unescapePointer);
    return { path, message: (error?.message ?? 'is not what its schema says').slice(0, MAX_MESSAGE_LENGTH) };
  } catch (error) {
    return { path: [], message: `could not be checked against the schema of its type: ${describe(error)}` };
  }
}

function validatorOf(schema: Readonly<Record<string, unknown>>): ValidateFunction {
  const key = createHash('sha256').update(canonicalJson(schema)).digest('base64');
  const found = compiled.get(key);
  if (found) compiled.delete(key);
  const validate = found ?? within(COMPILE_WITHIN_MS, () => compile(schema));
  compiled.set(key, validate);
  const [oldest] = compiled.keys();
  if (compiled.size > MAX_COMPILED && oldest !== undefined) compiled.delete(oldest);
  return validate;
}

/** An instance of its own, so that no `$id` of one schema means anything to another one. */
function compile(schema: Readonly<Record<string, unknown>>): ValidateFunction {
  const ajv = new Ajv2020({
    strict: true,
    strictTypes: false,
    strictRequired: false,
    strictTuples: false,
    // `format` says what is meant, as the specification has it.
    validateFormats: false,
    inlineRefs: false,
    logger: false,
  });
  return ajv.compile(schema);
}

function within<T>(ms: number, work: () => T): T {
  // The watchdog of a script also ends what it calls, in the middle of a regular expression, too.
  return vm.runInNewContext('work()', { work }, { timeout: ms }) as T;
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

function describe(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return 'it takes too long';
  if (error instanceof RangeError) return 'it refers to itself without end';
  return String(message ?? 'unknown').slice(0, MAX_MESSAGE_LENGTH);
}
