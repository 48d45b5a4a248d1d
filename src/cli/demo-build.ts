/** The demo's part of a bot: a project and a build through the API, followed over WebSocket. */
import type { Client } from '../client/client.ts';
import {
  type BuildDetailFragment,
  CreateProjectDocument,
  type ProjectRowFragment,
  ShowBuildDocument,
  StartBuildDocument,
} from '../client/generated.ts';
import { watchBuild } from '../client/watch-build.ts';
import { CliError } from './exit-code.ts';
import { createView } from './follow-build.ts';
import type { Io } from './io.ts';
import type { Output } from './output.ts';
import { accepted } from './refusal.ts';

export interface DemoReport {
  readonly buildId: string;
  readonly status: string;
  readonly commitSha: string;
  readonly commitSubject: string;
  readonly filesChanged: readonly string[];
  /** How many: they were numbered 1 to this. */
  readonly events: number;
  readonly callback: { readonly deliveryId: string; readonly verified: true };
  /** From the start of the process. */
  readonly seconds: number;
}

export interface DemoRun {
  readonly project: ProjectRowFragment;
  readonly callbackSecret: string;
  readonly build: BuildDetailFragment;
  readonly events: number;
}

export interface DemoBuildOptions {
  readonly io: Io;
  readonly client: Client;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly plain: boolean;
  readonly callbackUrl: string;
}

const PROMPT = 'Write a page that says what was asked for.';

/** Throws CliError when the build does not end well or an event is missing. */
export async function runDemoBuild(options: DemoBuildOptions): Promise<DemoRun> {
  const { client, output, callbackUrl } = options;
  const created = await client.request(CreateProjectDocument, {
    input: { name: 'Demo', settings: { provider: 'scripted', callbackUrl } },
  });
  const { project, callbackSecret } = accepted(created.createProject, 'CreateProjectPayload');
  output.note(`Created ${project.id} with a repository of its own`);
  const answer = await client.request(StartBuildDocument, {
    input: { projectId: project.id, spec: { prompt: PROMPT }, idempotencyKey: 'demo' },
  });
  const started = accepted(answer.startBuild, 'StartBuildPayload').build;
  output.note(`Started ${started.id} with the scripted agent\n`);
  const events = await followToEnd(options, started.id);
  const { build } = await client.request(ShowBuildDocument, { id: started.id });
  if (build?.status !== 'COMPLETED') {
    throw new CliError(`The build ended as ${build?.status}: ${build?.failure?.message ?? 'without a reason'}`);
  }
  if (build.lastEventCursor !== String(events)) {
    throw new CliError(`${events} events were seen, and the build has ${build.lastEventCursor}.`);
  }
  if (callbackSecret === null) throw new CliError('The project has no callback secret of its own.');
  return { project, callbackSecret, build, events };
}

/** How many events there were; each has the number after the one before it. */
async function followToEnd({ io, client, output, signal, plain }: DemoBuildOptions, buildId: string): Promise<number> {
  const view = await createView(io, output, { buildId, plain });
  let seen = 0;
  try {
    for await (const event of watchBuild(client, buildId, { signal })) {
      seen += 1;
      if (event.cursor !== String(seen)) throw new CliError(`Event ${event.cursor} came in the place of ${seen}.`);
      // --json answers with the report alone.
      if (!output.json) await view.show(event);
    }
  } finally {
    await view.end();
  }
  signal.throwIfAborted();
  return seen;
}
