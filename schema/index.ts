/** The API: every file below adds its types when it is imported. */
import './node.ts';
import './viewer.ts';
import './project.ts';
import './project-mutations.ts';
import './build.ts';
import './build-wait.ts';
import './build-events.ts';
import './build-log.ts';
import './build-message.ts';
import './build-question.ts';
import './build-mutations.ts';
import './talk-mutations.ts';
import './build-progress.ts';
import './artifact.ts';
import './callback.ts';
import './worker.ts';
import './agent.ts';
import './template.ts';
import './stats.ts';
import './queue-stats.ts';
import './token.ts';
import './credential.ts';
import './credential-mutations.ts';
import './audit-log.ts';
import './rate-limit.ts';
import { builder } from './builder.ts';

export const schema = builder.toSchema();
