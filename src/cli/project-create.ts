import { CreateProjectDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface ProjectCreateFlags extends ClientFlags {
  readonly slug?: string;
  readonly repository?: string;
  readonly defaultBranch?: string;
  readonly template?: string;
  readonly provider?: string;
  readonly model?: string;
  readonly callbackUrl?: string;
  readonly artifact?: readonly string[];
  readonly image?: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly storage?: string;
}

export function projectCreate(io: Io, name: string, flags: ProjectCreateFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { createProject } = await client.request(CreateProjectDocument, { input: toInput(name, flags) });
    const { project, callbackSecret } = accepted(createProject, 'CreateProjectPayload');
    if (output.json) output.value({ ...project, callbackSecret });
    else {
      output.line(`${project.id} ${project.slug}`);
      if (callbackSecret !== null) output.note(`Its callbacks are signed with ${callbackSecret}`);
      output.note(`Start a build: slipway build start --project ${project.slug} "…"`);
    }
    return EXIT.done;
  });
}

function toInput(name: string, flags: ProjectCreateFlags) {
  return {
    name,
    slug: flags.slug ?? null,
    repositoryUrl: flags.repository ?? null,
    defaultBranch: flags.defaultBranch ?? null,
    template: flags.template ?? null,
    settings: {
      provider: flags.provider ?? null,
      model: flags.model ?? null,
      callbackUrl: flags.callbackUrl ?? null,
      artifacts: flags.artifact ? [...flags.artifact] : null,
      workspace: {
        image: flags.image ?? null,
        cpu: flags.cpu ?? null,
        memory: flags.memory ?? null,
        storage: flags.storage ?? null,
      },
    },
  };
}
