/** The ledger of an attempt on a server: every entry is one request, numbered, so that it may be sent again after a cut. */
import { createHash } from 'node:crypto';
import { v7 } from 'uuid';
import type {
  EntryType,
  LedgerAnswers,
  LedgerEntries,
  LedgerQuestions,
  LedgerStore,
  QuestionName,
} from '../builds/ledger-store.ts';
import { failpoint } from '../std/failpoint.ts';
import type { Connection } from './connection.ts';
import type { Upload, WireEntry } from './entry-input.ts';
import { PIECE_BYTES } from './protocol.ts';

export interface AttemptAddress {
  readonly workerId: string;
  readonly buildId: string;
  readonly attemptNo: number;
}

export class ApiLedger implements LedgerStore {
  readonly #connection: Connection;
  readonly #path: string;

  constructor(connection: Connection, { workerId, buildId, attemptNo }: AttemptAddress) {
    this.#connection = connection;
    this.#path = `/workers/${workerId}/builds/${buildId}/attempts/${attemptNo}`;
  }

  async commit<T extends EntryType>(number: number, type: T, entry: LedgerEntries[T]): Promise<LedgerAnswers[T]> {
    const body = await this.#toWire(type, entry);
    await failpoint('ledger.written');
    const answer = await this.#post<LedgerAnswers[T]>(`/entries/${number}/${type}`, body);
    await failpoint('ledger.committed');
    return answer;
  }

  lastNumber(): Promise<number> {
    return this.#post('/last-number', {});
  }

  ask<Q extends QuestionName>(question: Q, asks: LedgerQuestions[Q]['asks']): Promise<LedgerQuestions[Q]['answer']> {
    return this.#post(`/questions/${question}`, asks);
  }

  #post<T>(path: string, body: object): Promise<T> {
    return this.#connection.untilAnswered(() => this.#connection.post<T>(`${this.#path}${path}`, body));
  }

  async #toWire<T extends EntryType>(type: T, entry: LedgerEntries[T]): Promise<WireEntry<T>> {
    if (type === 'PUSH_INTENT') {
      const { commit, pack } = entry as LedgerEntries['PUSH_INTENT'];
      return { commit, pack: pack && (await this.#upload(v7(), [pack])) } as WireEntry<T>;
    }
    if (type === 'KEEP_ARTIFACT') {
      const { file, content } = entry as LedgerEntries['KEEP_ARTIFACT'];
      const uploaded = await this.#upload(file.id, content());
      await failpoint('collect.stored');
      return { file, content: uploaded } as WireEntry<T>;
    }
    return entry as WireEntry<T>;
  }

  /** In pieces, each of which may come twice: after a cut it goes on with the one that was not answered. */
  async #upload(id: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Upload> {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    for await (const piece of piecesOf(content)) {
      const path = `${this.#path}/uploads/${id}?offset=${sizeBytes}`;
      await this.#connection.untilAnswered(() => this.#connection.put(path, piece));
      hash.update(piece);
      sizeBytes += piece.length;
    }
    return { id, sizeBytes, sha256: hash.digest('hex') };
  }
}

/** Of `PIECE_BYTES`, but the last. */
async function* piecesOf(content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + PIECE_BYTES - size);
      held.push(part);
      size += part.length;
      at += part.length;
      if (size === PIECE_BYTES) {
        yield Buffer.concat(held);
        held = [];
        size = 0;
      }
    }
  }
  if (size > 0) yield Buffer.concat(held);
}
