/** What a worker can be good for: `gpu`, `arch=arm64`. Those with a colon are Slipway's own: `provider:codex`. */
import { z } from 'zod';

/** Of one worker, beside those that it has by itself. */
export const MAX_WORKER_LABELS = 50;

const LABEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}(=[A-Za-z0-9][A-Za-z0-9._/@-]{0,62})?$/;

/** What is wrong with a label that somebody has chosen; null when nothing is. */
export function workerLabelProblem(label: string): string | null {
  if (LABEL.test(label)) return null;
  return 'must be a label such as gpu or arch=arm64: letters, digits and . _ / -, at most 63 on each side of the =';
}

/** Of all of them. */
export function workerLabelsProblem(labels: readonly string[]): string | null {
  if (labels.length > MAX_WORKER_LABELS) return `must be at most ${MAX_WORKER_LABELS} labels`;
  return labels.map(workerLabelProblem).find((problem) => problem !== null) ?? null;
}

const OWN = /^(provider|runtime):[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/;

/** What work may ask for: one that somebody has chosen, or one of Slipway's own. */
export const askedLabel = z.string().superRefine((label, context) => {
  const problem = OWN.test(label) ? null : workerLabelProblem(label);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});
