import { type DefaultDecision, StartBuildDocument } from '../client/generated.ts';
import type { ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import { findProject } from './find-project.ts';
import type { Io } from './io.ts';
import type { network, Pair } from './parse-option.ts';
import { readPrompt } from './read-prompt.ts';
import { accepted } from './refusal.ts';
import { reportStart } from './report-start.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface BuildStartFlags extends ClientFlags {
  readonly project: string;
  readonly promptFile?: string;
  readonly provider?: string;
  readonly model?: string;
  readonly branch?: string;
  readonly template?: string;
  readonly var?: readonly Pair[];
  readonly label?: readonly Pair[];
  readonly priority?: number;
  readonly concurrencyKey?: string;
  readonly runsOn?: readonly string[];
  readonly callbackUrl?: string;
  /** False with `--no-commit`. */
  readonly commit: boolean;
  readonly push: boolean;
  readonly resumeFrom?: string;
  readonly idempotencyKey?: string;
  readonly runAfter?: Date;
  readonly wallSeconds?: number;
  readonly silenceSeconds?: number;
  readonly lingerSeconds?: number;
  readonly maxRetries?: number;
  readonly maxTurns?: number;
  readonly maxTokens?: number;
  readonly maxCost?: number;
  readonly network?: ReturnType<typeof network>;
  readonly askQuestions?: boolean;
  readonly askApproval?: boolean;
  readonly waitSeconds?: number;
  readonly defaultAnswer?: string;
  readonly defaultDecision?: DefaultDecision;
  readonly watch?: boolean;
  readonly plain?: boolean;
}

export function buildStart(io: Io, prompt: string | undefined, flags: BuildStartFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const text = await readPrompt(io, { prompt, file: flags.promptFile });
    const project = await findProject(session, flags.project);
    const resumeFrom = flags.resumeFrom ? await findBuildId(session, flags.resumeFrom) : null;
    const { idempotencyKey = null } = flags;
    const answer = await session.client.request(StartBuildDocument, {
      input: { projectId: project.id, spec: toSpec(text, flags), resumeFrom, idempotencyKey },
    });
    return reportStart(session, accepted(answer.startBuild, 'StartBuildPayload'), flags);
  });
}

/** What no flag says is left to the project. */
function toSpec(prompt: string, flags: BuildStartFlags) {
  return {
    prompt,
    provider: flags.provider ?? null,
    model: flags.model ?? null,
    branch: flags.branch ?? null,
    template: flags.template ?? null,
    variables: flags.var ? [...flags.var] : null,
    labels: flags.label?.map(({ name, value }) => ({ key: name, value })) ?? null,
    priority: flags.priority ?? null,
    concurrencyKey: flags.concurrencyKey ?? null,
    runsOn: flags.runsOn ? [...flags.runsOn] : null,
    callbackUrl: flags.callbackUrl ?? null,
    autoCommit: flags.commit ? null : false,
    autoPush: flags.push ? null : false,
    network: flags.network ?? null,
    interaction: {
      questions: flags.askQuestions ?? null,
      approvals: flags.askApproval ?? null,
      waitSeconds: flags.waitSeconds ?? null,
      defaultAnswer: flags.defaultAnswer ?? null,
      defaultDecision: flags.defaultDecision ?? null,
    },
    runAfter: flags.runAfter?.toISOString() ?? null,
    limits: {
      wallSeconds: flags.wallSeconds ?? null,
      silenceSeconds: flags.silenceSeconds ?? null,
      lingerSeconds: flags.lingerSeconds ?? null,
      maxRetries: flags.maxRetries ?? null,
      maxTurns: flags.maxTurns ?? null,
      maxTokens: flags.maxTokens ?? null,
      maxCostUsd: flags.maxCost ?? null,
    },
  };
}
