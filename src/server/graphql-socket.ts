/**
 * One WebSocket that speaks graphql-transport-ws. An idle one holds its fields, and for each subscription one object: no closure,
 * promise or message of its beginning is kept. Messages are checked and numbered by graphql-ws.
 */
import { GraphQLError, getOperationAST } from 'graphql';
import { CloseCode, MessageType, parseMessage, type SubscribePayload } from 'graphql-ws';
import { type RawData, WebSocket } from 'ws';
import type { Viewer } from '../auth/viewer.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { ServerLimits } from './limits.ts';
import type { Operation, Operations } from './operations.ts';
import { Payload } from './payload.ts';
import { Pump, type PumpOwner } from './pump.ts';
import { isResultStream } from './subscriptions.ts';
import type { TokenSockets } from './token-sockets.ts';

const TOO_BIG = 1009;
const TRY_AGAIN_LATER = 1013;

/** What the sockets of a server have in common. */
export interface SocketServices {
  readonly operations: Operations;
  readonly limits: ServerLimits;
  readonly logger: Logger;
  /** Who shows this; null: nobody. Rejects when it cannot be said now. */
  identify(authorization: string | null, addressOf: () => string | undefined): Promise<Viewer | null>;
  readonly tokenSockets: TokenSockets;
  /** All that have been started and have not ended. */
  readonly open: Set<GraphqlSocket>;
}

interface Opening {
  readonly services: SocketServices;
  readonly writer: FrameWriter;
  /** Of the peer. Asked for only where it matters: its socket would keep it. */
  readonly addressOf: () => string | undefined;
}

export class GraphqlSocket extends WebSocket implements PumpOwner {
  #services!: SocketServices;
  #writer!: FrameWriter;
  #addressOf: () => string | undefined = nowhere;
  #viewer: Viewer | null = null;
  /** Has it sent `connection_init`? */
  #begun = false;
  #gone: AbortController | null = null;
  #waitingForInit: NodeJS.Timeout | null = null;
  /** Of operations that are open, or about to be: in a list, as most sockets have one. A query's pump sends nothing. */
  #first: Pump | null = null;
  /** Has it answered the last ping? */
  answered = true;

  /** Begins to listen. */
  start({ services, writer, addressOf }: Opening): void {
    this.#services = services;
    this.#writer = writer;
    this.#addressOf = addressOf;
    const { connectionInitMs } = services.limits;
    this.#waitingForInit = setTimeout(() => {
      this.end(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
    }, connectionInitMs);
    services.open.add(this);
  }

  /** Instead of listeners, of which each socket would have some. */
  override emit(name: string | symbol, ...given: unknown[]): boolean {
    if (name === 'message') this.#receive(given[0] as RawData, given[1] as boolean);
    else if (name === 'pong') this.answered = true;
    // ws has closed it with the right code already: too big, not UTF-8, not a frame.
    else if (name === 'error') this.#services.logger.debug({ err: given[0] }, 'a WebSocket was closed for its fault');
    else {
      if (name === 'close') this.#release();
      return super.emit(name, ...given);
    }
    return true;
  }

  /** Closes it, behind what is being written. */
  end(code: number, reason: string): void {
    this.#writer.flush();
    this.close(code, reason);
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (!this.#viewer && 'byteLength' in data && data.byteLength > this.#services.limits.firstMessageBytes) {
      this.close(TOO_BIG, 'Send connection_init first');
    } else if (isBinary) this.close(CloseCode.BadRequest, 'Messages are text');
    else this.#answer(String(data)).catch((error: unknown) => this.#fail(error));
  }

  /** It has ended: nothing of it goes on. */
  #release(): void {
    this.#stopWaiting();
    this.#services.open.delete(this);
    if (this.#viewer) this.#services.tokenSockets.leave(this.#viewer, this);
    this.#gone?.abort();
    let operation = this.#first;
    this.#first = null;
    for (; operation; operation = operation.next) operation.close();
  }

  #stopWaiting(): void {
    if (this.#waitingForInit) clearTimeout(this.#waitingForInit);
    this.#waitingForInit = null;
  }

  async #answer(text: string): Promise<void> {
    const message = this.#parse(text);
    switch (message?.type) {
      case MessageType.ConnectionInit:
        return this.#begin(message.payload?.authorization ?? message.payload?.Authorization);
      case MessageType.Ping:
        return this.#say({ type: MessageType.Pong, ...(message.payload && { payload: message.payload }) });
      case MessageType.Pong:
        return;
      case MessageType.Subscribe:
        return this.#start(message.id, message.payload);
      case MessageType.Complete:
        this.#remove(this.#find(message.id))?.close();
        return;
      default:
        this.end(CloseCode.BadRequest, 'Invalid message received');
    }
  }

  #parse(text: string): ReturnType<typeof parseMessage> | null {
    try {
      return parseMessage(text);
    } catch {
      return null;
    }
  }

  async #begin(authorization: unknown): Promise<void> {
    if (this.#begun) return this.end(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests');
    this.#begun = true;
    this.#stopWaiting();
    const shown = typeof authorization === 'string' ? authorization : null;
    const addressOf = this.#addressOf;
    this.#addressOf = nowhere;
    const viewer = await this.#services.identify(shown, addressOf).catch(() => 'unknown' as const);
    if (viewer === 'unknown') return this.end(TRY_AGAIN_LATER, 'Try again later');
    if (!viewer || this.readyState !== this.OPEN) return this.end(CloseCode.Forbidden, 'Forbidden');
    if (!this.#services.tokenSockets.enter(viewer, this)) {
      const reason = `One token can have ${this.#services.limits.socketsPerToken} sockets.`;
      return this.end(CloseCode.TooManyInitialisationRequests, reason);
    }
    this.#viewer = viewer;
    await this.#say({ type: MessageType.ConnectionAck });
  }

  async #start(id: string, { query, operationName, variables }: SubscribePayload): Promise<void> {
    const viewer = this.#viewer;
    if (!viewer) return this.end(CloseCode.Unauthorized, 'Unauthorized');
    if (this.#find(id)) return this.end(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`);
    const operation = new Pump({ id, owner: this, next: this.#first });
    this.#first = operation;
    try {
      const prepared = await this.#prepare(query, operationName, viewer);
      if ('errors' in prepared) return await this.#refuse(operation, prepared.errors);
      const { document, isSubscription } = prepared;
      const of = { ...{ document, operationName, variables, viewer }, gone: () => this.#goneSignal() };
      await (isSubscription ? this.#subscribe(operation, of) : this.#execute(operation, of));
    } catch (error) {
      this.#remove(operation);
      throw error;
    }
  }

  async #prepare(query: string, operationName: string | null | undefined, viewer: Viewer) {
    const { operations, limits } = this.#services;
    const limit = limits.operationsPerSocket;
    if (this.#count() > limit) return { errors: [tooManyOperations(limit)] };
    const prepared = await operations.prepare(query, viewer);
    if (!prepared.ok) return { errors: prepared.errors };
    const ast = getOperationAST(prepared.document, operationName);
    if (!ast) return { errors: [new GraphQLError('Unable to identify operation')] };
    return { document: prepared.document, isSubscription: ast.operation === 'subscription' };
  }

  async #execute(operation: Pump, of: Operation): Promise<void> {
    await this.#finish(operation, Payload.of(await this.#services.operations.execute(of)));
  }

  async #subscribe(operation: Pump, of: Operation): Promise<void> {
    const result = await this.#services.operations.subscribe({ ...of, endsWithToken: true });
    if (!isResultStream(result)) return this.#finish(operation, Payload.of(result));
    if (!this.#has(operation)) return result.close();
    operation.start(result, this.#writer);
  }

  pumpEnded(pump: Pump): void {
    this.#complete(pump).catch((error: unknown) => this.#fail(error));
  }

  async #finish(operation: Pump, { json }: Payload): Promise<void> {
    if (this.#has(operation)) {
      await this.#send(`{"id":${JSON.stringify(operation.id)},"type":"next","payload":${json}}`);
    }
    await this.#complete(operation);
  }

  async #complete(operation: Pump): Promise<void> {
    const { id } = operation;
    if (this.#remove(operation)) await this.#say({ id, type: MessageType.Complete });
  }

  async #refuse(operation: Pump, errors: readonly GraphQLError[]): Promise<void> {
    const { id } = operation;
    const payload = errors.map((error) => this.#services.operations.mask(error).toJSON());
    if (this.#has(operation)) await this.#say({ id, type: MessageType.Error, payload });
    this.#remove(operation);
  }

  #find(id: string): Pump | null {
    let operation = this.#first;
    while (operation && operation.id !== id) operation = operation.next;
    return operation;
  }

  #has(operation: Pump): boolean {
    return this.#find(operation.id) === operation;
  }

  #count(): number {
    let count = 0;
    for (let operation = this.#first; operation; operation = operation.next) count += 1;
    return count;
  }

  /** Null when it was not there any more. */
  #remove(operation: Pump | null): Pump | null {
    if (!operation || !this.#has(operation)) return null;
    if (this.#first === operation) this.#first = operation.next;
    for (let before = this.#first; before; before = before.next) {
      if (before.next === operation) before.next = operation.next;
    }
    return operation;
  }

  #goneSignal(): AbortSignal {
    this.#gone ??= new AbortController();
    if (this.readyState === this.CLOSED) this.#gone.abort();
    return this.#gone.signal;
  }

  #say(message: object): Promise<void> {
    return this.#send(JSON.stringify(message));
  }

  /** Resolves when the text has left this process. */
  #send(text: string): Promise<void> {
    this.#writer.flush();
    const { unsentBytes } = this.#services.limits;
    return new Promise((resolve, reject) => {
      this.send(text, (error) => {
        if (this.isPaused && this.bufferedAmount <= unsentBytes) this.resume();
        // What was on its way to a socket that is gone is missed by nobody.
        if (error && this.readyState === this.OPEN) reject(error);
        else resolve();
      });
      // Whoever does not read what it asked for may not ask for more.
      if (this.bufferedAmount > unsentBytes) this.pause();
    });
  }

  #fail(error: unknown): void {
    // What was being sent to a socket that is gone.
    if (this.readyState !== this.OPEN) return;
    this.#services.logger.error({ err: error }, 'unexpected error in a WebSocket message');
    this.end(CloseCode.InternalServerError, 'Internal server error');
  }
}

const nowhere = () => undefined;

function tooManyOperations(limit: number): GraphQLError {
  return new GraphQLError(`One socket can have ${limit} operations at the same time.`, {
    extensions: { code: 'TOO_MANY_OPERATIONS', limit },
  });
}
