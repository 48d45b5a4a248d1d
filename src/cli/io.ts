/** What a command knows of the process that it runs in: tests give their own. */
import type { Readable, Writable } from 'node:stream';

export interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable & {
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
    hasColors?(): boolean;
  };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** Absent: the process' own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Gives SIGINT and SIGTERM. */
  readonly signals: Pick<NodeJS.Process, 'on' | 'off'>;
}
