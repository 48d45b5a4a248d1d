/**
 * How many execs a worker has open at a time: each is a socket with buffers here, and a process in a pod. Readers of output,
 * which stay for twenty seconds, have places of their own; whoever ends something waits behind nobody else.
 */
import { Turns } from '../../std/turns.ts';

/** A worker with more builds than that reads them in turn. */
const MAX_READERS = 128;
const MAX_CALLS = 64;
const MAX_ENDINGS = 32;
/** Answers that are in memory in several shapes at a time. */
const MAX_LARGE_ANSWERS = 2;

const READING = 'tail';
const ENDING: ReadonlySet<string> = new Set(['kill', 'stop', 'sweep', 'renew']);

export class ExecTurns {
  /** Of answers that are longer than `SMALL_ANSWER_BYTES`. */
  readonly largeAnswers = new Turns(MAX_LARGE_ANSWERS);
  readonly #readers = new Turns(MAX_READERS);
  readonly #calls = new Turns(MAX_CALLS);
  readonly #endings = new Turns(MAX_ENDINGS);

  /** In which execs of this operation wait. */
  of(operation: string): Turns {
    if (operation === READING) return this.#readers;
    return ENDING.has(operation) ? this.#endings : this.#calls;
  }
}
