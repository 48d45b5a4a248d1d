import { workerLabelsProblem } from '../std/worker-label.ts';
import { list } from './option.ts';

/** Each once, in the order of their names. */
export const workerLabels = list
  .superRefine((labels, context) => {
    const problem = workerLabelsProblem(labels);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  })
  .transform((labels) => [...new Set(labels)].toSorted());
