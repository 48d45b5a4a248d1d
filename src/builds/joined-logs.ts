/** Joins the logs of a flush in memory that is kept for the next ones. */
export interface Joined {
  /** Null: there are none. */
  readonly logs: Buffer | null;
  /** They have been sent: the memory is free. Not to be called of a flush that has failed: what it was to send may not be sent yet. */
  readonly sent: () => void;
}

export interface JoinedLogsOptions {
  /** Joined at the same time. */
  readonly lanes: number;
  /** What is larger is not kept. */
  readonly maxBytes: number;
}

export class JoinedLogs {
  readonly #options: JoinedLogsOptions;
  readonly #rooms: Buffer[] = [];

  constructor(options: JoinedLogsOptions) {
    this.#options = options;
  }

  join(parts: readonly Buffer[]): Joined {
    const [first = null, ...others] = parts;
    if (others.length === 0) return { logs: first, sent: () => {} };
    const room = this.#takeRoom(parts.reduce((sum, { length }) => sum + length, 0));
    let end = 0;
    for (const part of parts) end += part.copy(room, end);
    return { logs: room.subarray(0, end), sent: () => this.#keep(room) };
  }

  #takeRoom(bytes: number): Buffer {
    const kept = this.#rooms.pop();
    return kept && kept.length >= bytes ? kept : Buffer.allocUnsafeSlow(bytes);
  }

  #keep(room: Buffer): void {
    const { lanes, maxBytes } = this.#options;
    if (room.length <= maxBytes && this.#rooms.length < lanes) this.#rooms.push(room);
  }
}
