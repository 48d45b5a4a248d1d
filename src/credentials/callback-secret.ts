/** The secret that signs a project's callbacks unless a credential does: derived when it is needed, never stored. */
import type { Keyring } from './keyring.ts';
import { deriveKey } from './seal.ts';

export interface CallbackSecretInput {
  /** UUID without prefix. */
  readonly projectId: string;
  /** `projects.secret_version`: raising it is a new secret. */
  readonly version: number;
}

/** `whsec_` and 32 bytes in base64, as Standard Webhooks writes secrets. */
export function callbackSecret(keyring: Pick<Keyring, 'callbackRoot'>, input: CallbackSecretInput): string {
  const bytes = deriveKey(keyring.callbackRoot, `callback ${input.projectId} ${input.version}`);
  return `whsec_${bytes.toString('base64')}`;
}
