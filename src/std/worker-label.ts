/** What a worker has and work may ask for: `gpu`, `arch=arm64`, `provider:claude-code`. */
import { z } from 'zod';

/** Of one worker, beside those that it has by itself. */
export const MAX_WORKER_LABELS = 50;

/** Slipway's own: nobody chooses them. */
const RESERVED = /^(provider|runtime):/;

export const workerLabel = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._/:=-]{0,127}$/,
    'must begin with a letter or digit and hold only these and . _ / : = - (at most 128)',
  );

/** What is wrong with labels that somebody has chosen for a worker; null when nothing is. */
export function workerLabelsProblem(labels: readonly string[]): string | null {
  if (labels.length > MAX_WORKER_LABELS) return `must be at most ${MAX_WORKER_LABELS} labels`;
  for (const label of labels) {
    const checked = workerLabel.safeParse(label);
    if (!checked.success) return checked.error.issues[0]?.message ?? 'must be a label';
    if (RESERVED.test(label)) return 'must not begin with provider: or runtime:, which workers have by themselves';
  }
  return null;
}
