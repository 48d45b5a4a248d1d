/** Runs beside a checkout that is not on the worker's machine: does one task, given on stdin, and answers on stdout. */
import { buffer } from 'node:stream/consumers';
import { runCommand } from '../runtimes/run-command.ts';
import { packData, unpackData } from '../std/pack-data.ts';
import { isCheckoutTask, openCheckout } from './checkout-work.ts';
import type { CheckoutAnswer, CheckoutCall } from './distant-checkout.ts';

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

async function answer(bytes: Buffer): Promise<CheckoutAnswer> {
  try {
    const { task, request, context } = readCall(bytes);
    if (!isCheckoutTask(task)) throw new Error(`There is no task ${task}: the worker has another version.`);
    const { paths } = context.workspace;
    const tasks = openCheckout({
      ...context,
      workspace: { paths, exec: (command) => runCommand({ ...command, env: { ...marks(), ...command.env } }) },
      signal: stop.signal,
      environment: process.env,
    });
    return { answer: await (tasks[task] as (request: unknown) => unknown)(request) };
  } catch (error) {
    return { thrown: error instanceof Error ? error.message : String(error) };
  }
}

/** In words of our own: those of a parser quote what it has read, and credentials are in it. */
function readCall(bytes: Buffer): CheckoutCall {
  try {
    return unpackData(bytes) as CheckoutCall;
  } catch {
    throw new Error(`The call cannot be read: ${bytes.length} bytes came.`);
  }
}

/** So that a sweep finds what outlives this program. */
function marks(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => name.startsWith('SLIPWAY_'));
  return Object.fromEntries(entries) as Record<string, string>;
}

process.stdout.write(packData(await answer(await buffer(process.stdin))));
