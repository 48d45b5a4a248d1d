/** The secrets of one build: which it uses, and everything that nothing of it may show. */
import type { Agent, ModelKey } from '../agents/agent.ts';
import { type Config, secretOptions } from '../config/config.ts';
import type { GitCredentials } from '../git/askpass.ts';
import { MIN_SECRET_LENGTH } from '../runtimes/redact.ts';
import { type BuildFailure, failure } from './build-result.ts';
import type { Ledger } from './ledger.ts';
import type { OpenedSecrets, UnreadableSecret } from './ledger-store.ts';
import type { Registry } from './npm-config.ts';
import { BuildFailedError } from './running-build.ts';

export interface BuildSecrets {
  /** Of the repository's origin, and of no other. */
  readonly git: GitCredentials | null;
  /** Null: the agent needs none, or has the worker's own. */
  readonly modelKey: ModelKey | null;
  /** Which key that is, for builds that use the same: the credential's id, or `worker`. Chosen as in quota-pause.ts. */
  readonly keyIdentity: string;
  /** Why the agent cannot be started. */
  readonly problem: BuildFailure | null;
  readonly registries: readonly Registry[];
  /** Everything, also what this build does not use; shorter ones are no secrets: they would blacken common words. */
  readonly all: readonly string[];
}

/** Throws BuildFailedError when the credential of the repository is there and cannot be opened. */
export async function readBuildSecrets(
  { config }: { readonly config: Config },
  ledger: Ledger,
  agent: Agent,
): Promise<BuildSecrets> {
  const { git, model, registries, hidden } = await ledger.ask('secrets', {
    variable: agent.modelKey?.variable ?? null,
  });
  if (git && 'reason' in git) throw new BuildFailedError(unreadable(git));
  return {
    git,
    modelKey: model && 'key' in model ? { key: model.key, baseUrl: model.baseUrl } : null,
    keyIdentity: model && 'key' in model ? model.id : 'worker',
    problem: modelProblem(agent, model),
    registries,
    all: [...new Set([...secretOptions(config), ...hidden])].filter((secret) => secret.length >= MIN_SECRET_LENGTH),
  };
}

function modelProblem({ name, modelKey }: Agent, model: OpenedSecrets['model']): BuildFailure | null {
  if (modelKey === null) return null;
  if (model && 'reason' in model) return unreadable(model);
  if (model || modelKey.hasDefault) return null;
  const message = `${name} needs a key, and neither the project nor the worker has one for ${modelKey.variable}.`;
  return failure('PROVIDER_AUTH', 'PREPARING', message);
}

function unreadable({ name, reason }: UnreadableSecret): BuildFailure {
  return failure('CREDENTIAL_UNREADABLE', 'PREPARING', `The credential ${name} cannot be opened. ${reason}`);
}
