import type { ExecutionResult } from 'graphql';

/** A result as bytes: made once, and sent to everybody who gets it. */
export class Payload {
  /** JSON. */
  readonly json: Buffer;
  #event: Buffer | null = null;
  #latin1: string | null = null;

  constructor(json: Buffer) {
    this.json = json;
  }

  static of({ errors, ...result }: ExecutionResult): Payload {
    return new Payload(Buffer.from(JSON.stringify({ ...result, ...(errors && { errors }) })));
  }

  /** The same bytes, each a character. */
  get latin1(): string {
    this.#latin1 ??= this.json.toString('latin1');
    return this.#latin1;
  }

  /** As an event of an event stream. */
  get event(): Buffer {
    this.#event ??= Buffer.concat([Buffer.from('event: next\ndata: '), this.json, Buffer.from('\n\n')]);
    return this.#event;
  }
}
