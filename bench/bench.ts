/** What a case gets to work with: databases on the figure's Postgres, programs in processes of their own, and the extent of the run. */
import { type BenchDatabase, type BenchPostgres, openBenchDatabase } from './database.ts';
import { type Main, type ProgramOf, startProgram } from './program.ts';

export interface Bench {
  /** The quick run: less is stored beforehand, where that takes long. */
  readonly isQuick: boolean;
  /** On the axis of `growth`; null in an ordinary run. */
  readonly size: number | null;
  /** A new database. `migrated`: with Slipway's tables, as `slipway up` leaves them; else empty. */
  database(options: { readonly migrated: boolean; readonly poolSize?: number }): Promise<BenchDatabase>;
  /** `file`, whose `main` is an M, in a process of its own: a server, or the load. Ends with the bench at the latest. */
  program<M extends Main>(file: URL, argument: Parameters<M>[0]): Promise<ProgramOf<M>>;
}

export interface BenchOptions {
  readonly postgres: BenchPostgres;
  readonly isQuick: boolean;
  readonly size: number | null;
}

/** What is opened here is disposed of by `resources`, after the rigs. */
export function createBench({ postgres, isQuick, size }: BenchOptions, resources: AsyncDisposableStack): Bench {
  return {
    isQuick,
    size,
    database: async (options) => resources.use(await openBenchDatabase(postgres, options)),
    program: async (file, argument) => resources.use(await startProgram(file, argument)),
  };
}
