import { randomBytes } from 'node:crypto';
import { SetCredentialDocument, type SetCredentialInput } from '../client/generated.ts';
import { readScope, type ScopeFlags } from './credential-scope.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { readSecret } from './read-secret.ts';
import { accepted } from './refusal.ts';
import { withSession } from './session.ts';

export interface CredentialSetFlags extends ScopeFlags {
  readonly git?: string;
  readonly username?: string;
  readonly modelKey?: string;
  readonly baseUrl?: string;
  readonly callbackSigning?: boolean;
  readonly grace?: number;
  readonly generate?: boolean;
  readonly registry?: string;
  readonly deploy?: string;
  readonly variable?: string;
  readonly valueFile?: string;
  readonly valueEnv?: string;
}

const SIGNING_BYTES = 32;

export function credentialSet(io: Io, name: string, flags: CredentialSetFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const projectId = await readScope(session, flags);
    checkFlags(flags);
    const secret = flags.generate ? newSigningSecret() : await readSecret(io, flags);
    const input = { projectId, name, ...kindOf(flags, secret) };
    const { setCredential } = await session.client.request(SetCredentialDocument, { input });
    const { credential } = accepted(setCredential, 'SetCredentialPayload');
    const { output } = session;
    if (output.json) output.value({ ...credential, ...(flags.generate ? { secret } : {}) });
    else {
      output.note(`${credential.name} is kept, sealed with the master key ${credential.keyId}.`);
      if (flags.generate) {
        output.note('This is the only time that the secret itself is shown:');
        output.line(secret);
      }
    }
    return EXIT.done;
  });
}

function newSigningSecret(): string {
  return `whsec_${randomBytes(SIGNING_BYTES).toString('base64')}`;
}

function checkFlags(flags: CredentialSetFlags): void {
  const { git, username, modelKey, callbackSigning, registry, deploy, variable, generate } = flags;
  const kinds = [git, modelKey, callbackSigning, registry, deploy].filter((kind) => kind !== undefined);
  if (kinds.length !== 1) {
    refuse('Say what it is for: one of --git, --model-key, --callback-signing, --registry and --deploy.');
  }
  if (variable !== undefined && deploy === undefined) refuse('--variable is for --deploy only.');
  if (git !== undefined && username === undefined) refuse('--git needs --username.');
  if (generate && !callbackSigning) refuse('--generate is for --callback-signing only.');
}

function refuse(message: string): never {
  throw new CliError(message, { code: 'INVALID_INPUT' });
}

function kindOf(flags: CredentialSetFlags, secret: string): Partial<SetCredentialInput> {
  const { git, username = '', modelKey, baseUrl, registry, deploy: environment, variable, grace } = flags;
  if (git !== undefined) return { git: { url: git, username, password: secret } };
  if (modelKey !== undefined) return { modelApiKey: { variable: modelKey, key: secret, baseUrl: baseUrl ?? null } };
  if (registry !== undefined) return { registry: { url: registry, token: secret } };
  if (environment !== undefined) {
    const given = variable === undefined ? { kubeconfig: secret } : { variables: [{ name: variable, value: secret }] };
    return { deploy: { environment, ...given } };
  }
  return { callbackSigning: { secret, graceSeconds: grace ?? null } };
}
