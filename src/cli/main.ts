/** The program `slipway`. */
import { letBatchesDieYoung } from '../std/tune-heap.ts';
import { runCli } from './run-cli.ts';

letBatchesDieYoung();

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `slipway build list | head`: whoever read us has enough.
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signals: process,
});
