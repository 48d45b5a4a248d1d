/** One build for a person. */
import { type BuildDetailFragment, ShowBuildDocument } from '../client/generated.ts';
import { cleanText, oneLine } from './clean-text.ts';
import { describeUsage } from './describe-event.ts';
import { type AskedQuestion, explainQuestion } from './describe-question.ts';
import { noBuild } from './find-build.ts';
import { formatDuration, formatTable, formatTime } from './format.ts';
import type { Output } from './output.ts';
import type { Session } from './session.ts';

const MAX_FILES = 20;
/** The last ones; `--json` has all. */
const MAX_MESSAGES = 20;
const MAX_OUTPUT = 4_000;

/** Throws CliError when there is no such build. */
export async function readBuild({ client }: Session, id: string): Promise<BuildDetailFragment> {
  const { build } = await client.request(ShowBuildDocument, { id });
  if (!build) throw noBuild(id);
  return build;
}

const COLOURS: Readonly<Record<string, 'green' | 'red' | 'yellow' | 'cyan'>> = {
  COMPLETED: 'green',
  FAILED: 'red',
  CANCELLED: 'yellow',
};

function styleStatus(output: Output, status: string): string {
  return output.style(COLOURS[status] ?? 'cyan', status);
}

export function showBuild(output: Output, build: BuildDetailFragment): void {
  const { result, failure } = build;
  const took = build.durationMs === null ? '' : ` in ${formatDuration(build.durationMs)}`;
  const waited = ` (waited ${formatDuration(build.queuedMs)})`;
  output.line(`${styleStatus(output, build.status)} ${oneLine(build.project.slug)}#${build.number}${took}${waited}`);
  const facts: [string, string | null | undefined][] = [
    ['Build', build.id],
    ['Phase', build.phase === 'DONE' ? null : build.phase],
    ['Waits for', waitsFor(build)],
    ['Waits', build.waitingReason?.message],
    ['Position', build.queuePosition === null ? null : String(build.queuePosition)],
    ['Expected', build.estimatedStartAt && `to start ${formatTime(build.estimatedStartAt)}`],
    ['Prompt', oneLine(build.spec.prompt, 100)],
    ['Agent', [build.spec.provider, build.spec.model].filter(Boolean).join(' ')],
    ['Template', build.spec.template],
    ['Started', build.startedAt && formatTime(build.startedAt)],
    ['Attempts', build.attempt > 1 ? String(build.attempt) : null],
    ['Retry of', build.retryOf?.id],
    ['Cancelled', build.cancelRequestedAt && (build.cancelReason ?? 'without a reason')],
    ['In favour', build.supersededBy && `of ${build.supersededBy.id}`],
    ['Failure', failure && `${failure.reason} while ${failure.phase}: ${failure.message}`],
    ['Remedy', failure?.remedy],
    ['Commit', result?.commitSha && `${result.commitSha} on ${result.branch ?? ''} (${result.publication})`],
    ['Page', result?.commitUrl],
    ['Usage', build.usage && describeUsage(build.usage)],
    ['Callbacks', build.callbacks.map(({ url, status }) => `${url} ${status}`).join(', ')],
    ['Artifacts', result?.artifacts.map(({ name }) => name).join(', ')],
  ];
  for (const [name, value] of facts) if (value) output.line(`  ${name.padEnd(10)} ${oneLine(value, 500)}`);
  for (const question of build.questions) showQuestion(output, question);
  showMessages(output, build.messages);
  if (result) showResult(output, result);
}

function waitsFor({ waitingFor, resumeAt, questions }: BuildDetailFragment): string | null {
  const [until] = [resumeAt, ...questions.map(({ expiresAt }) => expiresAt)].filter((at) => at !== null).toSorted();
  return waitingFor && until ? `${waitingFor} until ${formatTime(until)}` : waitingFor;
}

function showQuestion(output: Output, question: AskedQuestion): void {
  output.line(`  ${'Question'.padEnd(10)} ${question.id}`);
  for (const line of explainQuestion(question)) output.line(`    ${line}`);
}

function showMessages(output: Output, messages: BuildDetailFragment['messages']): void {
  if (messages.length === 0) return;
  output.line(`  Messages   ${messages.length}`);
  const rows = messages
    .slice(-MAX_MESSAGES)
    .map(({ mode, state, deliveredAs, text }) => [
      `    ${mode}`,
      deliveredAs && deliveredAs !== mode ? `${state} as ${deliveredAs}` : state,
      oneLine(text, 100),
    ]);
  output.line(formatTable(rows));
}

function showResult(output: Output, result: NonNullable<BuildDetailFragment['result']>): void {
  const files = result.filesChanged;
  if (files.length > 0) {
    output.line(`  Files      ${files.length}`);
    const rows = files
      .slice(0, MAX_FILES)
      .map(({ path, status, additions, deletions }) => [
        `    ${status}`,
        oneLine(path),
        additions === null || deletions === null ? 'binary' : `+${additions} -${deletions}`,
      ]);
    output.line(formatTable(rows));
    if (files.length > MAX_FILES) output.line(`    … and ${files.length - MAX_FILES} more`);
  }
  const said = cleanText((result.output ?? '').slice(0, MAX_OUTPUT)).trim();
  if (said) output.line(`\n${said.replace(/^/gm, '  ')}`);
}
