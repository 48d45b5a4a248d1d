/** The names of the types, so that files whose types point at each other need not import each other. */
import type { Artifact } from '../src/artifacts/artifact.ts';
import type { BuildSummary } from '../src/builds/build.ts';
import type { BuildMessage } from '../src/builds/build-message.ts';
import type { BuildQuestion } from '../src/builds/build-question.ts';
import type { Delivery } from '../src/callbacks/delivery.ts';
import type { BuildEvent } from '../src/events/event.ts';
import type { Project } from '../src/projects/project.ts';
import type { Task } from '../src/tasks/task.ts';
import type { WorkerRecord } from '../src/workers/registry.ts';
import { builder } from './builder.ts';

const byId = { id: { resolve: (node: { readonly id: string }) => node.id } };

export const BuildRef = builder.nodeRef<BuildSummary>('Build', byId);
export const ProjectRef = builder.nodeRef<Project>('Project', byId);
export const WorkerRef = builder.nodeRef<WorkerRecord>('Worker', byId);
export const ArtifactRef = builder.nodeRef<Artifact>('Artifact', byId);
export const DeliveryRef = builder.nodeRef<Delivery>('CallbackDelivery', byId);
export const BuildMessageRef = builder.nodeRef<BuildMessage>('BuildMessage', byId);
export const BuildQuestionRef = builder.nodeRef<BuildQuestion>('BuildQuestion', byId);
export const BuildEventRef = builder.interfaceRef<BuildEvent>('BuildEvent');
export const TaskRef = builder.nodeRef<Task>('Task', byId);
