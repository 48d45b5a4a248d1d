/**
 * One execution, and one text of its data, for queries of one token that are the same and come at the same time: in one turn of
 * the event loop or, while the same is under way, until that has ended. So nobody is told what was read before he asked, and
 * nobody waits long for another's execution.
 */
import { type DocumentNode, type ExecutionResult, type GraphQLSchema, getOperationAST } from 'graphql';
import { selectsMarked } from './marked-fields.ts';
import type { Operation } from './operations.ts';

/** After that the next execution begins beside the one that is under way. */
const MAX_WAIT_MS = 20;
/** Longer ones are compared with nothing. */
const MAX_VARIABLES_LENGTH = 4_096;

interface Executions {
  readonly running: Promise<ExecutionResult> | null;
  /** Has not begun. */
  next: Promise<ExecutionResult> | null;
}

interface KnownDocument {
  readonly number: number;
  /** It selects a field that depends on more of the request than its token and its variables. */
  readonly perRequest: boolean;
}

export class SharedQueries {
  readonly #schema: GraphQLSchema;
  readonly #executions = new Map<string, Executions>();
  readonly #documents = new WeakMap<DocumentNode, KnownDocument>();
  /** Of data that several are answered with; empty until one of them is written. */
  readonly #texts = new WeakMap<object, string>();
  #documentCount = 0;

  constructor(schema: GraphQLSchema) {
    this.#schema = schema;
  }

  /** What the same operations have in common; null for one that shares nothing. */
  keyOf({ document, operationName, variables, viewer }: Operation): string | null {
    if (getOperationAST(document, operationName)?.operation !== 'query') return null;
    const { number, perRequest } = this.#know(document);
    const values = perRequest ? null : textOf(variables);
    if (values === null || values.length > MAX_VARIABLES_LENGTH) return null;
    // All of the viewer: the rights of a token may change between two requests.
    return JSON.stringify([number, operationName, viewer, values]);
  }

  /** `execute` never rejects. */
  run(key: string, execute: () => Promise<ExecutionResult>): Promise<ExecutionResult> {
    const known = this.#executions.get(key) ?? { running: null, next: null };
    this.#executions.set(key, known);
    known.next ??= (known.running ? endedOrLate(known.running) : nextTurn()).then(async () => {
      const result = await this.#begin(key, execute);
      if (result.data) this.#texts.set(result.data, '');
      return result;
    });
    return known.next;
  }

  /** The result in JSON, of one without errors. */
  write(result: ExecutionResult): string {
    const { data, extensions } = result;
    const known = data ? this.#texts.get(data) : undefined;
    if (!data || known === undefined) return JSON.stringify(result);
    const text = known || JSON.stringify(data);
    if (!known) this.#texts.set(data, text);
    return extensions ? `{"data":${text},"extensions":${JSON.stringify(extensions)}}` : `{"data":${text}}`;
  }

  #begin(key: string, execute: () => Promise<ExecutionResult>): Promise<ExecutionResult> {
    const running = execute();
    const begun: Executions = { running, next: null };
    this.#executions.set(key, begun);
    void running.then(() => {
      // The next one takes the place itself.
      if (!begun.next && this.#executions.get(key) === begun) this.#executions.delete(key);
    });
    return running;
  }

  #know(document: DocumentNode): KnownDocument {
    const known = this.#documents.get(document);
    if (known) return known;
    this.#documentCount += 1;
    const perRequest = selectsMarked({ schema: this.#schema, document, mark: 'perRequest' });
    const found = { number: this.#documentCount, perRequest };
    this.#documents.set(document, found);
    return found;
  }
}

/** Null of what is nested too deeply to be written. */
function textOf(variables: Operation['variables']): string | null {
  try {
    return variables ? JSON.stringify(variables) : '';
  } catch {
    return null;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function endedOrLate(running: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, MAX_WAIT_MS);
  await Promise.race([running, late]);
  clearTimeout(timer);
}
