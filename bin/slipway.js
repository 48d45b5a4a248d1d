#!/usr/bin/env node
// Runs on Node 18, too, to say what is missing: no newer syntax here.
import * as nodeModule from 'node:module';
import { stderr, version, versions } from 'node:process';
import { fileURLToPath } from 'node:url';

// Node 22 runs TypeScript, too, but does not know `await using`.
if (Number.parseInt(versions.node, 10) >= 24) {
  // Types are stripped and code is compiled once, not at every start. Not in /tmp, where others could write to it; where
  // it cannot be written, Node does without.
  nodeModule.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/slipway', import.meta.url)));
  await import('../src/cli/main.ts');
} else {
  stderr.write(
    [
      `Slipway needs Node 24 or newer, and this is ${version}.`,
      'In a checkout, npm brings a Node 24 of its own:',
      '  npm start                   runs the service',
      '  npm run demo                shows everything once',
      '  npm run slipway -- help     runs any command',
      '',
    ].join('\n'),
  );
  process.exitCode = 1;
}
