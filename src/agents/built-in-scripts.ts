/** The scripts that are always there, by name. */
import type { ScriptedStep } from './scripted-steps.ts';

export const BUILT_IN_SCRIPTS: ReadonlyMap<string, (prompt: string) => ScriptedStep[]> = new Map([
  ['demo', demo],
  ['slow', slow],
  ['fail', fail],
  ['nothing', nothing],
]);

function demo(prompt: string): ScriptedStep[] {
  return [
    { print: 'I read the request and write it down.' },
    { write: { path: 'NOTES.md', content: notes(prompt) } },
    { wait: 0.2 },
    { print: 'Now I make a small page of it.' },
    { write: { path: 'demo/index.html', content: page(prompt) } },
    { wait: 0.2 },
    { run: 'wc -c NOTES.md demo/index.html' },
    { usage: { inputTokens: 0, outputTokens: 0, costUsd: 0, turns: 1 } },
    { print: 'Done: NOTES.md and demo/index.html are written.' },
  ];
}

function slow(): ScriptedStep[] {
  const seconds = Array.from({ length: 120 }, (_, i): ScriptedStep[] => [
    { print: `Second ${i + 1} of 120.` },
    { wait: 1 },
  ]);
  return [...seconds.flat(), { write: { path: 'SLOW.md', content: 'This took two minutes.\n' } }];
}

function fail(): ScriptedStep[] {
  return [
    { print: 'I try, and I will fail.' },
    { write: { path: 'HALF.md', content: 'Half of the work.\n' } },
    { fail: 'The script ends with a failure, as asked.' },
  ];
}

function nothing(): ScriptedStep[] {
  return [{ print: 'There is nothing to do.' }];
}

function notes(prompt: string): string {
  const quoted = prompt
    .trim()
    .split('\n')
    .map((line) => `> ${line}`.trimEnd());
  return `# Notes\n\nThis was asked for:\n\n${quoted.join('\n')}\n`;
}

function page(prompt: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Built by Slipway</title>
<style>
  :root { color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif; }
  body { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
  blockquote { margin: 0; padding-left: 1rem; border-left: 0.25rem solid; white-space: pre-wrap; }
</style>
<h1>Built by Slipway</h1>
<p>No model was asked. The scripted agent was given this prompt:</p>
<blockquote>${escapeHtml(prompt.trim())}</blockquote>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
