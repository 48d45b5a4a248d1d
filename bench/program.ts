/**
 * A program of a figure in a process of its own. Its file exports `main(argument)`, which gives what it can do by name:
 * functions of plain data. `bench/program-host.ts` runs it.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const HOST = fileURLToPath(new URL('program-host.ts', import.meta.url));
const END_MS = 5_000;

/** `main` of a program's file gives what can be called: each takes plain data, and gives some. `close` is called at the end. */
export type Main = (argument: never) => Promise<object>;

type Given<F> = F extends (argument: infer A, ...rest: never[]) => unknown ? A : never;
type Taken<F> = F extends (...given: never[]) => infer R ? Awaited<R> : never;

export interface Program<S> extends AsyncDisposable {
  readonly pid: number;
  /** Calls what `main` gave under this name; rejects with its error, or when the process has ended. */
  call<N extends keyof S & string>(
    name: N,
    ...argument: unknown extends Given<S[N]> ? [] : [argument: Given<S[N]>]
  ): Promise<Taken<S[N]>>;
}

export type ProgramOf<M extends Main> = Program<Awaited<ReturnType<M>>>;

export type Call = { readonly id: number; readonly name: string; readonly argument: unknown };
export type Answer = { readonly id: number; readonly value?: unknown; readonly error?: string };

/** Resolves when `main` has. */
export async function startProgram<M extends Main>(file: URL, argument: Parameters<M>[0]): Promise<ProgramOf<M>> {
  const child = fork(HOST, [], { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const open = new Map<number, PromiseWithResolvers<never>>();
  let count = 0;
  let ended: Error | null = null;
  child.on('message', ({ id, value, error }: Answer) => {
    const waiting = open.get(id);
    open.delete(id);
    // Of the type that the program's file has for it.
    if (error === undefined) waiting?.resolve(value as never);
    else waiting?.reject(new Error(error));
  });
  const exited = once(child, 'exit').then(([code, signal]) => {
    ended = new Error(`${file.pathname} has ended with ${signal ?? code}`);
    for (const waiting of open.values()) waiting.reject(ended);
    open.clear();
  });
  function call(name: string, value: unknown = null): Promise<never> {
    if (ended) return Promise.reject(ended);
    count += 1;
    const waiting = Promise.withResolvers<never>();
    open.set(count, waiting);
    child.send({ id: count, name, argument: value } satisfies Call);
    return waiting.promise;
  }
  await call('main', { file: file.href, argument }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return {
    pid: child.pid ?? 0,
    call,
    async [Symbol.asyncDispose]() {
      if (ended) return;
      const timer = setTimeout(() => child.kill('SIGKILL'), END_MS);
      await call('close').catch(() => {});
      child.disconnect();
      await exited;
      clearTimeout(timer);
    },
  };
}
