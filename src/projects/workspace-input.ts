/** What a project or a template asks of the pod in which its agent runs. */
import { z } from 'zod';
import { checked } from '../config/option.ts';
import { imageProblem } from '../std/image-reference.ts';
import { quantityProblem, type Resource } from '../std/quantity.ts';

const quantity = (resource: Resource) => checked((text) => quantityProblem(resource, text));

export const workspaceInput = z.strictObject({
  image: checked(imageProblem).nullish(),
  cpu: quantity('cpu').nullish(),
  memory: quantity('memory').nullish(),
  storage: quantity('storage').nullish(),
});

/** Null and absent leave it to the template, or to the operator. */
export type WorkspaceSettings = z.output<typeof workspaceInput>;
