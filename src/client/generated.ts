// Written by codegen.ts from operations.graphql: change that, then `npm run codegen`.
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** How the use of a tool ended. */
export type AgentToolStatus =
  /** It was stopped. */
  | 'ABORTED'
  /** The agent may not use it so. */
  | 'DENIED'
  /** It did not. */
  | 'FAILED'
  /** It worked. */
  | 'OK';

/** The answer to what an agent asks. */
export type AnswerBuildQuestionInput = {
  /** For each of its `questions`, in order, the labels that were chosen, or something else in a text of at most 16 KiB, 64 KiB in all. More than one only where `multiple` says so, at most 20. */
  readonly answers: ReadonlyArray<ReadonlyArray<string>>;
  /** The question: `question_…`, of kind QUESTION. */
  readonly questionId: string;
};

/** Which use of a tool is allowed. */
export type ApproveBuildInput = {
  /** Also the next times that the agent wants to use this tool, as far as it can remember that. */
  readonly always?: boolean;
  /** For the agent, at most 16 KiB. */
  readonly note?: string | null | undefined;
  /** The question: `question_…`, of kind PERMISSION. */
  readonly questionId: string;
};

/** Every member that is present narrows the list. */
export type AuditLogFilter = {
  /** This mutation: `startBuild`. */
  readonly action?: string | null | undefined;
  /** Done by this actor: `token_…`. */
  readonly actor?: string | null | undefined;
  /** Done in this range. */
  readonly at?: DateTimeRange | null | undefined;
  /** Belongs to this project. */
  readonly projectId?: string | null | undefined;
  /** Done to this: `build_…`, `project_…`, `token_…`. */
  readonly subjectId?: string | null | undefined;
};

/** Every kind of event. Milestones also appear in the project's activity. */
export type BuildEventType =
  /** The agent said or did something. */
  | 'AGENT_ACTIVITY'
  /** The agent runs. */
  | 'AGENT_STARTED'
  /** A file was kept. A milestone. */
  | 'ARTIFACT_CREATED'
  /** Somebody asked for the end. A milestone. */
  | 'CANCEL_REQUESTED'
  /** The end. A milestone, and always the last event. */
  | 'FINISHED'
  /** The changes are a commit. A milestone. */
  | 'GIT_COMMITTED'
  /** The commit is on the remote. A milestone. */
  | 'GIT_PUSHED'
  /** The agent was given it. */
  | 'MESSAGE_DELIVERED'
  /** Somebody told the agent something. */
  | 'MESSAGE_SENT'
  /** The next phase. A milestone. */
  | 'PHASE_CHANGED'
  /** Slipway says what it is doing. */
  | 'PROGRESS'
  /** The agent asks people, and waits. A milestone. */
  | 'QUESTION_ASKED'
  /** It does not wait for that any more. A milestone. */
  | 'QUESTION_CLOSED'
  /** Accepted. A milestone, and always the first event. */
  | 'QUEUED'
  /** Back in the queue for another attempt. A milestone. */
  | 'RETRY_SCHEDULED'
  /** A worker claimed it: once per attempt. A milestone. */
  | 'STARTED'
  /** Tokens and cost so far. */
  | 'USAGE_UPDATED'
  /** Something is odd and the build goes on. */
  | 'WARNING';

/** Every member that is present narrows the list. */
export type BuildFilter = {
  /** This branch. */
  readonly branch?: string | null | undefined;
  /** Accepted in this range. */
  readonly createdAt?: DateTimeRange | null | undefined;
  /** All of these labels. */
  readonly label?: ReadonlyArray<LabelInput> | null | undefined;
  /** This number; useful together with a project. */
  readonly number?: number | null | undefined;
  /** Builds of this project. */
  readonly projectId?: string | null | undefined;
  /** Any of these agents. */
  readonly provider?: ReadonlyArray<string> | null | undefined;
  /** Any of these. */
  readonly source?: ReadonlyArray<BuildSource> | null | undefined;
  /** Any of these. */
  readonly status?: ReadonlyArray<BuildStatus> | null | undefined;
  /** `name@version`, or `name` for every version. */
  readonly template?: string | null | undefined;
};

/** Where a build is stopped. What is absent comes from the project, or is Slipway's default. */
export type BuildLimitsInput = {
  /** Seconds that the agent may live after its last word: 1 to 86400, by default 30. */
  readonly lingerSeconds?: number | null | undefined;
  /** US dollars, where the agent reports its cost; by default any amount. */
  readonly maxCostUsd?: number | null | undefined;
  /** Retries in a row of an agent whose provider refuses it or is not reached: 0 to 1000, by default 5. An agent may give up earlier by itself. */
  readonly maxRetries?: number | null | undefined;
  /** Input and output tokens in all: 1 to 1000000000000, by default any number. */
  readonly maxTokens?: number | null | undefined;
  /** Turns of the agent: 1 to 10000, by default any number. */
  readonly maxTurns?: number | null | undefined;
  /** Seconds without any output of the agent: 1 to 86400, by default 600. */
  readonly silenceSeconds?: number | null | undefined;
  /** Seconds from the agent's start to its end: 1 to 86400, by default 3600. */
  readonly wallSeconds?: number | null | undefined;
};

/** When the agent is given a message. */
export type BuildMessageMode =
  /** At once: what it is doing is broken off, and it goes on with the message. */
  | 'INTERRUPT'
  /** When its turn has ended, as the beginning of another one. */
  | 'QUEUE'
  /** Within its turn, between two steps; when the turn has ended where it does not listen before. */
  | 'STEER';

/** What became of a message. */
export type BuildMessageState =
  /** The agent was given it. */
  | 'DELIVERED'
  /** The agent will be given it. */
  | 'PENDING'
  /** The build has ended without it. */
  | 'UNDELIVERED';

/** What is being done for a build, in this order. */
export type BuildPhase =
  /** The agent works. */
  | 'AGENT'
  /** Declared files are kept as artifacts. */
  | 'COLLECTING'
  /** Finished. */
  | 'DONE'
  /** The workspace: clone or fetch, branch, template. */
  | 'PREPARING'
  /** Commit, push, and proof that the remote has it. */
  | 'PUBLISHING'
  /** Nothing yet: exactly while the build is PENDING. */
  | 'QUEUED'
  /** What the agent left is looked at: what changed, and whether it may be committed. */
  | 'VERIFYING';

/** What kind of answer an agent waits for. */
export type BuildQuestionKind =
  /** It wants to use a tool: approveBuild, rejectBuild. */
  | 'PERMISSION'
  /** It wants to know something: answerBuildQuestion. */
  | 'QUESTION';

/** What became of a question, or of a request for permission. */
export type BuildQuestionState =
  /** Somebody answered it. */
  | 'ANSWERED'
  /** Somebody allowed it. */
  | 'APPROVED'
  /** Nobody answered in time: the agent was given the spec's default. */
  | 'EXPIRED'
  /** The agent waits for people. */
  | 'OPEN'
  /** Somebody refused it. */
  | 'REJECTED'
  /** The agent does not wait for an answer any more. */
  | 'WITHDRAWN';

/** What started a build. */
export type BuildSource =
  /** startBuild or createAndBuild. */
  | 'API'
  /** retryBuild. */
  | 'RETRY'
  /** A schedule of the project. */
  | 'SCHEDULE'
  /** A push to the repository. */
  | 'WEBHOOK'
  /** A step of a workflow. */
  | 'WORKFLOW';

/** What an agent is asked to do. Only the prompt is needed; the rest comes from the project's settings. */
export type BuildSpecInput = {
  /** Commit what the agent changed; by default true. */
  readonly autoCommit?: boolean | null | undefined;
  /** Push the commit; by default true. */
  readonly autoPush?: boolean | null | undefined;
  /** The branch to build on and push to; by default the project's default branch. */
  readonly branch?: string | null | undefined;
  /** Who is told about the end, by signed HTTP; by default the project's. */
  readonly callbackUrl?: string | null | undefined;
  /** Builds of the project with the same key run one at a time, or as many as their limit says: at most 200 bytes. */
  readonly concurrencyKey?: string | null | undefined;
  /** What the agent may ask people; by default nothing. */
  readonly interaction?: InteractionInput | null | undefined;
  /** For filters and statistics: at most 32. */
  readonly labels?: ReadonlyArray<LabelInput> | null | undefined;
  /** Where it is stopped. */
  readonly limits?: BuildLimitsInput | null | undefined;
  /** The agent's model; by default the project's, or the agent's own choice. */
  readonly model?: string | null | undefined;
  /** What the agent may reach; by default the project's. */
  readonly network?: NetworkInput | null | undefined;
  /** Higher goes first: -100 to 100, by default 0. */
  readonly priority?: number | null | undefined;
  /** What to do, in plain words: at most 1 MiB. */
  readonly prompt: string;
  /** The agent: `claude-code`, `scripted`; by default the project's. */
  readonly provider?: string | null | undefined;
  /** Do not start before this. */
  readonly runAfter?: string | null | undefined;
  /** Labels that the worker must have, such as `gpu` or `arch=arm64`: at most 10. */
  readonly runsOn?: ReadonlyArray<string> | null | undefined;
  /** What it does to the earlier builds of its group; by default as the project's settings say, or QUEUE. */
  readonly supersede?: SupersedeInput | null | undefined;
  /** `name` for its newest version, or `name@version`; by default the project's. */
  readonly template?: string | null | undefined;
  /** Values for the variables of the template. */
  readonly variables?: ReadonlyArray<VariableInput> | null | undefined;
};

/** Where a build is in its life. Detail is in `phase`, `failure` and `waitingFor`. */
export type BuildStatus =
  /** Ended because somebody asked for it; every process is gone. */
  | 'CANCELLED'
  /** Ended well. */
  | 'COMPLETED'
  /** Ended badly: see `failure`. */
  | 'FAILED'
  /** Accepted and waiting for a worker. */
  | 'PENDING'
  /** A worker has it. */
  | 'RUNNING';

/** Signs callbacks in place of the secret that Slipway derives. */
export type CallbackSigningInput = {
  /** How long callbacks carry a signature of the secret before it, too: 0 to 30 days, by default a day. */
  readonly graceSeconds?: number | null | undefined;
  /** As Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64. */
  readonly secret: string;
};

/** What became of a callback. */
export type CallbackStatus =
  /** The receiver has accepted it. */
  | 'DELIVERED'
  /** It was given up; redeliverCallback or redeliverTaskCallback starts anew. */
  | 'FAILED'
  /** It will be tried, again perhaps. */
  | 'PENDING';

/** Which build to end, and why. */
export type CancelBuildInput = {
  /** The build. */
  readonly id: string;
  /** Shown with the build: at most 1000 characters. */
  readonly reason?: string | null | undefined;
};

/** Which builds to end, and why. */
export type CancelBuildsInput = {
  /** True: nothing is changed, and the answer says what would be. By default false. */
  readonly dryRun?: boolean | null | undefined;
  /** Which builds: at least one member, so that nobody means all of them by mistake. */
  readonly filter: BuildFilter;
  /** Builds of this call, the oldest first: 1 to 1000, by default 1000. */
  readonly limit?: number | null | undefined;
  /** Shown with each build: at most 1000 characters. */
  readonly reason?: string | null | undefined;
};

/** Which task to end, and why. */
export type CancelTaskInput = {
  /** The task. */
  readonly id: string;
  /** Shown with the task: at most 1000 characters. */
  readonly reason?: string | null | undefined;
};

/** Who asks for work, and for which. */
export type ClaimTaskInput = {
  /** A new one for each claim, such as a UUID, at most 100 bytes: the same worker that asks again with it, because the answer was lost, is given the tasks of that claim whose leases hold, and no others. */
  readonly claimId?: string | null | undefined;
  /** What the worker has: a task may need some of it. At most 64. */
  readonly labels?: ReadonlyArray<string> | null | undefined;
  /** Tasks, at most: 1 to 50, by default 1. */
  readonly max?: number | null | undefined;
  /** Tasks of any of these types; `build` cannot be claimed. */
  readonly types: ReadonlyArray<string>;
  /** Wait so long for a task when there is none: 0 to 60, by default 0. */
  readonly waitSeconds?: number | null | undefined;
  /** Names the worker among those with this token: at most 100 bytes. */
  readonly workerName: string;
};

/** The work is done. */
export type CompleteTaskInput = {
  /** Of the claim. */
  readonly leaseToken: string;
  /** What came of it: at most 64 KiB. */
  readonly result?: unknown;
  /** The task. */
  readonly taskId: string;
};

/** Which worker takes nothing new. */
export type CordonWorkerInput = {
  /** Its id: `worker_…`. */
  readonly id: string;
};

/** A new token. */
export type CreateApiTokenInput = {
  /** It is of no use after this; absent for never. */
  readonly expiresAt?: string | null | undefined;
  /** What it is for: at most 100 characters. */
  readonly name: string;
  /** Limits it to these projects; absent for all of them. */
  readonly projectIds?: ReadonlyArray<string> | null | undefined;
  /** Any of `builds:read`, `builds:write`, `projects:write`, `tasks:read`, `tasks:write`, `work`, `workers`, `stats:read`, `admin`. */
  readonly scopes: ReadonlyArray<string>;
};

/** A new enrolment token. */
export type CreateEnrolmentTokenInput = {
  /** It is of no use after this: at most 1440. */
  readonly expiresInMinutes?: number;
  /** What the worker is good for, whatever it says itself: at most 50; absent: what it says counts. */
  readonly labels?: ReadonlyArray<string> | null | undefined;
  /** What it is for: at most 100 characters. */
  readonly name?: string;
  /** Gives the worker builds and tasks of these projects only; absent for all. */
  readonly projectIds?: ReadonlyArray<string> | null | undefined;
};

/** Builds of a project that are started by the clock. */
export type CreateScheduleInput = {
  /** What is done about times that were missed; by default NONE. */
  readonly catchUp?: ScheduleCatchUp | null | undefined;
  /** How far back a time is caught up: 300 to 2592000, by default 86400. */
  readonly catchUpSeconds?: number | null | undefined;
  /** When it is due: minute, hour, day of the month, month, day of the week, as in `30 6 * * MON-FRI`; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. A time that the clocks pass over is due at the shift, one that comes twice is due once; what is due every hour goes on every hour. */
  readonly cron: string;
  /** What it is called: at most 100 characters, unique in its project. */
  readonly name: string;
  /** What is done while an earlier build of it waits or runs; by default SKIP_IF_RUNNING. */
  readonly overlap?: ScheduleOverlap | null | undefined;
  /** The project. */
  readonly projectId: string;
  /** What its builds are to do, without runAfter: at most 128 KiB. */
  readonly spec: BuildSpecInput;
  /** Whose clocks that means, such as `Europe/Berlin`; by default UTC. */
  readonly timeZone?: string | null | undefined;
};

/** What a credential is good for. */
export type CredentialKind =
  /** Signs callbacks in place of the secret that Slipway derives. */
  | 'CALLBACK_SIGNING'
  /** Reaches where one environment runs. Only its deployments are given it, never an agent. */
  | 'DEPLOY'
  /** Reads and writes repositories of one origin. Only git is given it, never the agent. */
  | 'GIT'
  /** The key of a model's provider. Only the agent that asks for its variable is given it. */
  | 'MODEL_API_KEY'
  /** Reads packages of one registry. The agent is given it. */
  | 'REGISTRY';

/** A range of time; an end that is absent is open. */
export type DateTimeRange = {
  /** The first moment. */
  readonly from?: string | null | undefined;
  /** The first moment after it. */
  readonly to?: string | null | undefined;
};

/** What an agent is told when nobody says whether it may. */
export type DefaultDecision =
  /** It may. */
  | 'APPROVE'
  /** It may not. */
  | 'REJECT';

/** Which credential to delete. */
export type DeleteCredentialInput = {
  /** Its name. */
  readonly name: string;
  /** Whose it is; absent for one of all projects, which needs the scope admin. */
  readonly projectId?: string | null | undefined;
};

/** Which schedule. */
export type DeleteScheduleInput = {
  /** The schedule. */
  readonly id: string;
};

/** Which type to delete. */
export type DeleteTaskTypeInput = {
  /** Its name. */
  readonly name: string;
  /** The project; absent: the type of all projects. */
  readonly projectId?: string | null | undefined;
};

/** For the deployments of one environment: a kubeconfig, variables, or both. */
export type DeployCredentialInput = {
  /** Such as `production`. */
  readonly environment: string;
  /** A kubeconfig file. Its current context is used, with a token or a client certificate in the file itself; one that names files or programs is refused. */
  readonly kubeconfig?: string | null | undefined;
  /** What deploy commands find in their environment: at most 20. */
  readonly variables?: ReadonlyArray<DeployVariableInput> | null | undefined;
};

/** A secret variable of deploy commands. */
export type DeployVariableInput = {
  /** Such as `FLY_API_TOKEN`. */
  readonly name: string;
  /** Its value: at least 8 characters. */
  readonly value: string;
};

/** What becomes of builds that still run when the time of a drain is over. */
export type DrainMode =
  /** Their agents go on for 30 seconds, so that a worker that starts on the same machine takes them over. */
  | 'LEAVE'
  /** Their agents are ended, and another worker begins them again. */
  | 'PUT_BACK';

/** Which worker is to end, and when. */
export type DrainWorkerInput = {
  /** Seconds that what it runs may go on, at most 86400. */
  readonly graceSeconds?: number;
  /** Its id: `worker_…`. */
  readonly id: string;
  /** What becomes of what runs on then. */
  readonly mode?: DrainMode;
};

/** A task of a project. */
export type EnqueueTaskInput = {
  /** Is told when it has ended, by signed HTTP. */
  readonly callbackUrl?: string | null | undefined;
  /** Tasks of the project with the same key run one at a time. */
  readonly concurrencyKey?: string | null | undefined;
  /** Names this request, so that sending it again is safe: the same key and input give the first task. At most 255 printable characters. */
  readonly idempotencyKey?: string | null | undefined;
  /** For filters and statistics: at most 32. */
  readonly labels?: ReadonlyArray<LabelInput> | null | undefined;
  /** How long a claim or a heartbeat holds it: 5 to 3600, by default 60. A worker that is silent for longer has lost it. Not for `build`. */
  readonly leaseSeconds?: number | null | undefined;
  /** What is to be done, as the schema of its type says: at most 256 KiB. Of a `build` its spec. */
  readonly payload: unknown;
  /** -100 to 100, by default 0: higher goes first, each point is worth a minute of waiting. */
  readonly priority?: number | null | undefined;
  /** The project. */
  readonly projectId: string;
  /** What follows a failure. Not for `build`. */
  readonly retry?: TaskRetryInput | null | undefined;
  /** Do not start before this. */
  readonly runAfter?: string | null | undefined;
  /** Labels that a worker must have: at most 32. */
  readonly runsOn?: ReadonlyArray<string> | null | undefined;
  /** `build`, `test`, `deploy`, or a type of your own: see setTaskType. `build` needs `builds:write`, too. */
  readonly type: string;
};

/** What became of an enrolment token. */
export type EnrolmentState =
  /** Nobody came in time. */
  | 'EXPIRED'
  /** It waits for its worker. */
  | 'OPEN'
  /** It was revoked before anybody came. */
  | 'REVOKED'
  /** A worker has come with it. It is of no more use. */
  | 'USED';

/** Which worker loses what it runs. */
export type EvictWorkerInput = {
  /** Its id: `worker_…`. */
  readonly id: string;
};

/** The attempt has failed. */
export type FailTaskInput = {
  /** Of the claim. */
  readonly leaseToken: string;
  /** Why, for people: at most 4 KiB. */
  readonly reason: string;
  /** What there is to show all the same: kept when this is the end. */
  readonly result?: unknown;
  /** Another attempt may help; by default true. */
  readonly retryable?: boolean | null | undefined;
  /** The task. */
  readonly taskId: string;
};

/** Why a build failed. The set may grow: treat an unknown reason as not retryable. */
export type FailureReason =
  /** Read the log for what the agent reported, then retry the build. */
  | 'AGENT_ERROR'
  /** The model refused the task. Rephrase the prompt. */
  | 'AGENT_REFUSED'
  /** Raise limits.maxCostUsd or limits.maxTokens, or the budget in the settings of the project, or make the task smaller. The budget of a day is new at midnight UTC. */
  | 'BUDGET_EXCEEDED'
  /** The task does not fit the model. Split it or choose a model with a larger context. */
  | 'CONTEXT_EXHAUSTED'
  /** Give every worker the current master key (`slipway doctor` says which it has), or set the credential again. */
  | 'CREDENTIAL_UNREADABLE'
  /** The changes are larger than a commit may be. Ignore generated files in .gitignore. */
  | 'FILE_LIMIT'
  /** Check the repository URL, its credentials and that it can be reached from the worker. */
  | 'GIT_CLONE_FAILED'
  /** The branch moved and the changes do not fit on top of it. Retry to build on the new state. */
  | 'GIT_CONFLICT'
  /** The remote could not be reached or did not take the commit. Check it, then retry. */
  | 'GIT_PUSH_FAILED'
  /** The remote refused the push. Check branch protection, hooks and the rights of the credentials. */
  | 'GIT_PUSH_REJECTED'
  /** The agent said nothing for too long. Retry, or raise limits.silenceSeconds. */
  | 'IDLE_TIMEOUT'
  /** This is a defect of Slipway. Report it with the build id. */
  | 'INTERNAL'
  /** Correct the build and start it again. */
  | 'INVALID_SPEC'
  /** Raise limits.maxTurns or make the task smaller. */
  | 'MAX_TURNS'
  /** The changes contain a git repository of its own. Ask the agent to remove its .git folder. */
  | 'NESTED_REPOSITORY'
  /** The agent finished without changing a file. If that is fine, set autoCommit to false. */
  | 'NO_CHANGES'
  /** The agent printed more than a build may print. */
  | 'OUTPUT_TOO_LARGE'
  /** The build needed more memory than its workspace has. Raise `workspace.memory` of the project, then retry. */
  | 'OUT_OF_MEMORY'
  /** The agent needed a tool that it may not use. See the denials in the events. */
  | 'PERMISSION_DENIED'
  /** Check the key of the provider: a credential of the project or of all projects goes before that of the worker. */
  | 'PROVIDER_AUTH'
  /** The provider did not answer properly. Retry later. */
  | 'PROVIDER_OVERLOADED'
  /** The account is out of credit or over its rate limit. Wait or raise the limit, then retry. */
  | 'PROVIDER_QUOTA'
  /** Install the agent on every worker or choose another provider, then retry; `slipway doctor` tells how. */
  | 'PROVIDER_UNAVAILABLE'
  /** The workspace could not be prepared. Check disk space and rights of the data folder; on Kubernetes the image, the quota and the room of the nodes (`slipway doctor --kubernetes`). */
  | 'SANDBOX_FAILED'
  /** Install bubblewrap on every worker (`slipway doctor` says what is missing), or allow the build all of the network, then start it again. */
  | 'SANDBOX_UNAVAILABLE'
  /** Have the secret taken out of the files, and replace it if it is real. If it is none, allow the file in the settings of the project: `secretScan.allowPaths`. */
  | 'SECRET_DETECTED'
  /** Raise limits.wallSeconds or make the task smaller. */
  | 'TIMEOUT'
  /** The worker or the workspace was lost more than once during this build. Check memory and disk, then retry. */
  | 'WORKER_LOST'
  /** The disk of the workspace was full. Make room on the worker, or raise `workspace.storage` of the project, then retry. */
  | 'WORKSPACE_FULL';

/** What happened to a file. */
export type FileChangeStatus =
  /** It is new. */
  | 'ADDED'
  /** It is gone. */
  | 'DELETED'
  /** Its content or mode changed. */
  | 'MODIFIED'
  /** It moved: see previousPath. */
  | 'RENAMED';

/** For the http and https repositories of one origin. */
export type GitCredentialInput = {
  /** The password or token: at least 8 characters. */
  readonly password: string;
  /** Of the host or of a repository there: only its scheme, host and port count. */
  readonly url: string;
  /** The user; many hosts take any name with a token. */
  readonly username: string;
};

/** For an http or https remote. Kept sealed and never given back. */
export type GitCredentialsInput = {
  /** The password or token. */
  readonly password: string;
  /** The user; many hosts take any name with a token. */
  readonly username: string;
};

/** A worker says that it lives. */
export type HeartbeatTaskInput = {
  /** Of the claim. */
  readonly leaseToken: string;
  /** How far it is, in any form: at most 8 KiB. Absent: as it was. */
  readonly progress?: unknown;
  /** The task. */
  readonly taskId: string;
};

/** What an agent may ask people while it runs, and what it is told when nobody answers. Needs an agent that can ask: see `AgentCapabilities`. */
export type InteractionInput = {
  /** It asks before it runs commands, uses the network, or writes outside of the checkout: approveBuild, rejectBuild. By default false: what it may do is decided by rule. */
  readonly approvals?: boolean | null | undefined;
  /** The answer to every question that nobody answers, at most 16 KiB; by default the agent is told that nobody answered, and goes on as it sees fit. */
  readonly defaultAnswer?: string | null | undefined;
  /** The decision when nobody makes one; by default REJECT. */
  readonly defaultDecision?: DefaultDecision | null | undefined;
  /** It may ask questions: answerBuildQuestion. By default false. */
  readonly questions?: boolean | null | undefined;
  /** Seconds that each question waits: 1 to 86400, by default 1800. Meanwhile no other clock runs. */
  readonly waitSeconds?: number | null | undefined;
};

/** A label. */
export type LabelInput = {
  /** Letters, digits and `. _ / -`, at most 63. */
  readonly key: string;
  /** Any text of at most 256 bytes. */
  readonly value: string;
};

/** Where a line comes from. */
export type LogStream =
  /** The agent's error output. */
  | 'STDERR'
  /** The agent's output. */
  | 'STDOUT'
  /** Slipway itself. */
  | 'SYSTEM';

/** For the agents that take their key in this variable. Goes before the worker's own. */
export type ModelApiKeyInput = {
  /** Where requests with this key go; absent for the provider's own address. The two are never parted. */
  readonly baseUrl?: string | null | undefined;
  /** The key. */
  readonly key: string;
  /** Such as `ANTHROPIC_API_KEY`. */
  readonly variable: string;
};

/** How much of the network an agent may reach. Its own model is always reachable. */
export type NetworkAccess =
  /** All that the worker's machine reaches, its loopback included. */
  | 'ALL'
  /** The hosts that are listed, by HTTP and HTTPS. */
  | 'HOSTS'
  /** Nothing. */
  | 'NONE';

/** What an agent, and all that it starts, may reach. Limits need workers with a sandbox. */
export type NetworkInput = {
  /** How much. */
  readonly access: NetworkAccess;
  /** With HOSTS, at most 100: `registry.npmjs.org`, `*.example.com` for what is below it, `*` for every public host; with a port if it is not 80 or 443. Private addresses are reached only where the address itself is listed. */
  readonly hosts?: ReadonlyArray<string> | null | undefined;
};

/** Which project to pause. */
export type PauseProjectInput = {
  /** The project. */
  readonly id: string;
};

/** Which schedule, and why. */
export type PauseScheduleInput = {
  /** The schedule. */
  readonly id: string;
  /** Shown with it: at most 1000 characters. */
  readonly reason?: string | null | undefined;
};

/** What builds may use; null takes a limit away. Tokens are input and output, a day is one of UTC. */
export type ProjectBudgetInput = {
  /** US dollars of one build: more cannot be asked for. At most 10000. */
  readonly perBuildUsd?: number | null | undefined;
  /** Tokens of all builds in a day: at most 1000000000000. */
  readonly perDayTokens?: number | null | undefined;
  /** US dollars of all builds in a day: at most 1000000. */
  readonly perDayUsd?: number | null | undefined;
};

/** Every member that is present narrows the list. */
export type ProjectFilter = {
  /** True: only archived ones. False: only the others. Absent: both. */
  readonly archived?: boolean | null | undefined;
  /** A part of the name or the slug, in any case. */
  readonly search?: string | null | undefined;
};

/** A new project. */
export type ProjectInput = {
  /** The branch of builds that name none; by default `main`. */
  readonly defaultBranch?: string | null | undefined;
  /** What the remote asks for. */
  readonly gitCredentials?: GitCredentialsInput | null | undefined;
  /** Its name, for people: at most 100 characters. */
  readonly name: string;
  /** The git remote: https, http, ssh, or a path where that is allowed. Without it Slipway keeps one; builds on Kubernetes need it. */
  readonly repositoryUrl?: string | null | undefined;
  /** Defaults for builds. */
  readonly settings?: ProjectSettingsInput | null | undefined;
  /** Its short name: lower-case letters, digits and `-`; by default from the name. */
  readonly slug?: string | null | undefined;
  /** The template of builds that name none: `name` or `name@version`. */
  readonly template?: string | null | undefined;
};

/** What of a project may run at the same time, and its share of what is free. */
export type ProjectQueueInput = {
  /** Builds and tasks at the same time, 0 to 100000; null for any number. */
  readonly maxRunning?: number | null | undefined;
  /** Of those with the same concurrency key, 1 to 100000; by default 1. */
  readonly maxRunningPerKey?: number | null | undefined;
  /** Its share while others wait, too: 0.01 to 1000, by default 1. */
  readonly weight?: number | null | undefined;
};

/** Defaults for the project's builds. */
export type ProjectSettingsInput = {
  /** Globs of the files that are kept when a build ends, at most 50. */
  readonly artifacts?: ReadonlyArray<string> | null | undefined;
  /** What builds may use; members that are absent stay. */
  readonly budget?: ProjectBudgetInput | null | undefined;
  /** Who is told about the end of a build, by signed HTTP. */
  readonly callbackUrl?: string | null | undefined;
  /** What tasks of the type `deploy` run, with the credential of their environment; no shell reads it. */
  readonly deployCommand?: ReadonlyArray<string> | null | undefined;
  /** Globs of the manifests that tasks of the type `deploy` apply where there is no command, at most 20. */
  readonly deployManifests?: ReadonlyArray<string> | null | undefined;
  /** Where builds are stopped. */
  readonly limits?: BuildLimitsInput | null | undefined;
  /** The agent's model. */
  readonly model?: string | null | undefined;
  /** What agents may reach. */
  readonly network?: NetworkInput | null | undefined;
  /** The agent: `claude-code`, `scripted`. */
  readonly provider?: string | null | undefined;
  /** What may run at the same time, and its share; members that are absent stay. */
  readonly queue?: ProjectQueueInput | null | undefined;
  /** The search for secrets in what builds would commit; members that are absent stay. */
  readonly secretScan?: SecretScanInput | null | undefined;
  /** What a new build does to the earlier ones of its group; by default QUEUE. */
  readonly supersede?: SupersedeInput | null | undefined;
  /** What tasks of the type `test` run: a program and its arguments, which no shell reads. */
  readonly testCommand?: ReadonlyArray<string> | null | undefined;
  /** Glob of the reports that it writes, JUnit XML or TAP. */
  readonly testReport?: string | null | undefined;
  /** Lets agent configuration in the repository (hooks, MCP servers, plugins) run; by default false. */
  readonly trustRepoConfig?: boolean | null | undefined;
  /** What the container of the agent is made of, on Kubernetes; members that are absent stay. */
  readonly workspace?: WorkspaceInput | null | undefined;
};

/** Whether a project takes builds. */
export type ProjectStatus =
  /** It takes builds. */
  | 'ACTIVE'
  /** It takes no more builds, and its slug is free. */
  | 'ARCHIVED'
  /** What it needs could not be made. */
  | 'FAILED'
  /** What it needs is being made. */
  | 'PROVISIONING';

/** What became of the changes. */
export type Publication =
  /** Committed and not pushed, because `autoPush` is false. */
  | 'COMMITTED'
  /** Nothing was committed. */
  | 'NONE'
  /** The agent changed nothing. */
  | 'NO_CHANGES'
  /** Committed, pushed, and proved to be on the remote. */
  | 'PUSHED';

/** Which builds are counted: every member that is present narrows it. */
export type QueueStatsFilter = {
  /** All of these labels. */
  readonly label?: ReadonlyArray<LabelInput> | null | undefined;
  /** Builds of this project. */
  readonly projectId?: string | null | undefined;
  /** Any of these agents. */
  readonly provider?: ReadonlyArray<string> | null | undefined;
};

/** Which callback to send again. */
export type RedeliverCallbackInput = {
  /** The build that it reports. */
  readonly buildId: string;
};

/** Which callback to send again. */
export type RedeliverTaskCallbackInput = {
  /** The task that it reports. */
  readonly taskId: string;
};

/** For package managers that read an .npmrc: it is in the agent's home while a build runs. */
export type RegistryInput = {
  /** The token. */
  readonly token: string;
  /** Of the registry: `https://npm.example.com/`. */
  readonly url: string;
};

/** Which use of a tool is refused. */
export type RejectBuildInput = {
  /** Why not. For the agent, at most 16 KiB. */
  readonly note?: string | null | undefined;
  /** The question: `question_…`, of kind PERMISSION. */
  readonly questionId: string;
};

/** The worker gives the task back. */
export type ReleaseTaskInput = {
  /** Of the claim. */
  readonly leaseToken: string;
  /** The task. */
  readonly taskId: string;
};

/** Which task gets another round. */
export type RequeueTaskInput = {
  /** The task, which has failed or was cancelled. */
  readonly id: string;
};

/** Which project goes on. */
export type ResumeProjectInput = {
  /** The project. */
  readonly id: string;
};

/** Which schedule. */
export type ResumeScheduleInput = {
  /** The schedule. */
  readonly id: string;
};

/** Which build to start again. */
export type RetryBuildInput = {
  /** The build, which must be finished. */
  readonly id: string;
  /** Names this request, so that sending it again is safe: the same key and input give the first build. At most 255 printable characters. */
  readonly idempotencyKey?: string | null | undefined;
  /** Go on with the agent's session instead of beginning anew; by default false. */
  readonly resumeSession?: boolean | null | undefined;
};

/** Which finished builds to start again. */
export type RetryBuildsInput = {
  /** True: nothing is changed, and the answer says what would be. By default false. */
  readonly dryRun?: boolean | null | undefined;
  /** Which builds: at least one member, so that nobody means all of them by mistake. Without a status: those that FAILED or were CANCELLED. */
  readonly filter: BuildFilter;
  /** Builds of this call, the oldest first: 1 to 1000, by default 1000. */
  readonly limit?: number | null | undefined;
  /** Go on with the agents' sessions instead of beginning anew; by default false. */
  readonly resumeSession?: boolean | null | undefined;
};

/** Which token to revoke. */
export type RevokeApiTokenInput = {
  /** Its id: `token_…`. */
  readonly id: string;
};

/** Which enrolment token to revoke. */
export type RevokeEnrolmentTokenInput = {
  /** Its id: `enrolment_…`. */
  readonly id: string;
};

/** Which token gets a new secret. */
export type RotateApiTokenInput = {
  /** Seconds that the present secret goes on, at most 604800; 0 ends it at once. */
  readonly graceSeconds?: number;
  /** Its id: `token_…`. */
  readonly id: string;
};

/** What is done about times that were missed: more than five minutes, because no Slipway was there. */
export type ScheduleCatchUp =
  /** A build is started for each of the last ten of them. */
  | 'ALL'
  /** A build is started for the last of them. */
  | 'LATEST'
  /** Nothing. */
  | 'NONE';

/** What is done when a schedule is due while an earlier build of it waits or runs. */
export type ScheduleOverlap =
  /** The earlier build ends CANCELLED, and another one is started. */
  | 'CANCEL_RUNNING'
  /** Another build is started, and waits for its turn. */
  | 'QUEUE'
  /** This time is skipped. */
  | 'SKIP_IF_RUNNING';

/** The search for secrets in what builds would commit: a build that finds one fails with SECRET_DETECTED. */
export type SecretScanInput = {
  /** Globs of files that may hold what looks like a secret, such as `test/fixtures/**`; at most 50. */
  readonly allowPaths?: ReadonlyArray<string> | null | undefined;
  /** False looks for the build's own secrets only; by default true. */
  readonly enabled?: boolean | null | undefined;
};

/** What to tell the agent of a build. */
export type SendBuildMessageInput = {
  /** The build, whose agent has not finished. */
  readonly buildId: string;
  /** Names this message, so that sending it again is safe: the same key, text and mode give the first one of the build. At most 255 printable characters. */
  readonly idempotencyKey?: string | null | undefined;
  /** When. An agent that does not listen within its turn is given a STEER when the turn has ended. */
  readonly mode?: BuildMessageMode;
  /** What to tell it, at most 64 KiB. A build takes 100 messages. */
  readonly text: string;
};

/** The new priority of a build that waits. */
export type SetBuildPriorityInput = {
  /** The build. */
  readonly id: string;
  /** Higher goes first: -100 to 100, each worth a minute of waiting. */
  readonly priority: number;
};

/** A credential: exactly one of `git`, `modelApiKey`, `callbackSigning`, `registry` and `deploy`. */
export type SetCredentialInput = {
  /** For callbacks. */
  readonly callbackSigning?: CallbackSigningInput | null | undefined;
  /** For deployments. */
  readonly deploy?: DeployCredentialInput | null | undefined;
  /** For git. */
  readonly git?: GitCredentialInput | null | undefined;
  /** For a model's provider. */
  readonly modelApiKey?: ModelApiKeyInput | null | undefined;
  /** A letter, then letters, digits and `. _ -`: at most 63 characters. */
  readonly name: string;
  /** Whose it is; absent for all projects, which needs the scope admin. */
  readonly projectId?: string | null | undefined;
  /** For packages. */
  readonly registry?: RegistryInput | null | undefined;
};

/** How many builds may run with a key at the same time. */
export type SetCredentialLimitInput = {
  /** Builds at the same time, 0 to 100000; null for any number. */
  readonly maxRunning?: number | null | undefined;
  /** Its name: of a MODEL_API_KEY. */
  readonly name: string;
  /** Whose it is; absent for one of all projects, which needs the scope admin. */
  readonly projectId?: string | null | undefined;
};

/** How many builds and tasks with a key may run at the same time. */
export type SetKeyLimitInput = {
  /** The concurrency key: at most 200 characters. */
  readonly key: string;
  /** 1 to 100000; null leaves it to the settings of the project. */
  readonly maxRunning?: number | null | undefined;
  /** The project. */
  readonly projectId: string;
};

/** A type of tasks. */
export type SetTaskTypeInput = {
  /** a-z, 0-9 and `. _ -`, at most 63; not `build`, `test`, `deploy`. */
  readonly name: string;
  /** The project; absent: all projects, for a token that is not limited to some. */
  readonly projectId?: string | null | undefined;
  /** The JSON Schema (2020-12) of its payloads: at most 64 KiB, with references into itself only. `{}` takes any. */
  readonly schema: unknown;
};

/** A build of a project. */
export type StartBuildInput = {
  /** Names this request, so that sending it again is safe: the same key and input give the first build. At most 255 printable characters. */
  readonly idempotencyKey?: string | null | undefined;
  /** The project. */
  readonly projectId: string;
  /** Go on with the agent's session of this finished build of the project, on its branch. Agent, model, template and variables are by default those of that build. */
  readonly resumeFrom?: string | null | undefined;
  /** What to do. */
  readonly spec: BuildSpecInput;
};

/** Which builds of a project are a group. */
export type SupersedeBy =
  /** Those of one branch. */
  | 'BRANCH'
  /** Those with one `concurrencyKey`; a build without a key is in no group. */
  | 'KEY'
  /** All of them. */
  | 'PROJECT';

/** What a new build does to the earlier ones of its group. */
export type SupersedeInput = {
  /** What a group is. */
  readonly by: SupersedeBy;
  /** What it does. */
  readonly policy: SupersedePolicy;
};

/** What a new build does while others of its group wait or run. */
export type SupersedePolicy =
  /** It takes their place: they end CANCELLED, with a reason and `supersededBy`. One that is being pushed goes on. */
  | 'CANCEL_IN_PROGRESS'
  /** It waits for its turn as any other. */
  | 'QUEUE'
  /** It ends CANCELLED at once, with a reason and `supersededBy`. */
  | 'SKIP_NEWEST';

/** What can happen to a task. The set may grow. */
export type TaskEventType =
  /** Somebody asked for the end. */
  | 'CANCEL_REQUESTED'
  /** A worker has it: once per attempt. */
  | 'CLAIMED'
  /** It is over, unless it is requeued. */
  | 'FINISHED'
  /** Its worker says how far it is. */
  | 'PROGRESS'
  /** Accepted: always the first event. */
  | 'QUEUED'
  /** Its worker gave it back. */
  | 'RELEASED'
  /** Somebody gave it another round. */
  | 'REQUEUED'
  /** An attempt has failed, and there will be another one. */
  | 'RETRY_SCHEDULED';

/** Every member that is present narrows the list. */
export type TaskFilter = {
  /** Accepted in this range. */
  readonly createdAt?: DateTimeRange | null | undefined;
  /** All of these labels. */
  readonly label?: ReadonlyArray<LabelInput> | null | undefined;
  /** Tasks of this project. */
  readonly projectId?: string | null | undefined;
  /** Any of these. */
  readonly status?: ReadonlyArray<TaskStatus> | null | undefined;
  /** Any of these types. */
  readonly type?: ReadonlyArray<string> | null | undefined;
};

/** What follows an attempt that failed. */
export type TaskRetryInput = {
  /** The pause after the first failure: at most 86400, by default 5. Each doubles the last one. */
  readonly backoffSeconds?: number | null | undefined;
  /** 1 to 100, by default 3: when so many have failed, the task has. */
  readonly maxAttempts?: number | null | undefined;
  /** The longest pause: at most 604800, by default 300. */
  readonly maxBackoffSeconds?: number | null | undefined;
};

/** Where a task is in its life. */
export type TaskStatus =
  /** Somebody asked for the end, and no worker has it. */
  | 'CANCELLED'
  /** Its worker has completed it. */
  | 'COMPLETED'
  /** It has failed for good: see `failure`, and requeueTask. */
  | 'FAILED'
  /** It waits for a worker, or for its time. */
  | 'PENDING'
  /** A worker has it. */
  | 'RUNNING';

/** Which worker takes builds again. */
export type UncordonWorkerInput = {
  /** Its id: `worker_…`. */
  readonly id: string;
};

/** What to change; what is absent stays. */
export type UpdateProjectInput = {
  /** The branch of builds that name none. */
  readonly defaultBranch?: string | null | undefined;
  /** What the remote asks for. */
  readonly gitCredentials?: GitCredentialsInput | null | undefined;
  /** The project. */
  readonly id: string;
  /** Its name, for people; null leaves it as it is. */
  readonly name?: string | null | undefined;
  /** The git remote. */
  readonly repositoryUrl?: string | null | undefined;
  /** Defaults for builds; members that are absent stay. */
  readonly settings?: ProjectSettingsInput | null | undefined;
  /** The template of builds that name none; null for none. */
  readonly template?: string | null | undefined;
};

/** What to change; what is absent stays. */
export type UpdateQueueInput = {
  /** Builds and tasks at the same time, 0 to 100000; null for any number. */
  readonly maxRunning?: number | null | undefined;
  /** True: nothing starts, what runs goes on, and builds are accepted. */
  readonly paused?: boolean | null | undefined;
};

/** What to change; what is absent or null stays. */
export type UpdateScheduleInput = {
  /** What is done about times that were missed. */
  readonly catchUp?: ScheduleCatchUp | null | undefined;
  /** How far back a time is caught up: 300 to 2592000. */
  readonly catchUpSeconds?: number | null | undefined;
  /** When it is due: minute, hour, day of the month, month, day of the week, as in `30 6 * * MON-FRI`; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. A time that the clocks pass over is due at the shift, one that comes twice is due once; what is due every hour goes on every hour. */
  readonly cron?: string | null | undefined;
  /** The schedule. */
  readonly id: string;
  /** What it is called: at most 100 characters, unique in its project. */
  readonly name?: string | null | undefined;
  /** What is done while an earlier build of it waits or runs. */
  readonly overlap?: ScheduleOverlap | null | undefined;
  /** What its builds are to do, without runAfter: at most 128 KiB. It takes the place of the earlier one. */
  readonly spec?: BuildSpecInput | null | undefined;
  /** Whose clocks that means, such as `Europe/Berlin`. */
  readonly timeZone?: string | null | undefined;
};

/** A value for a variable that the template declares. */
export type VariableInput = {
  /** As the template declares it. */
  readonly name: string;
  /** At most 64 KiB; blank means the default. */
  readonly value: string;
};

/** What a build cannot go on without. */
export type WaitingFor =
  /** Somebody who approves it. */
  | 'APPROVAL'
  /** An answer to a question of the agent. */
  | 'INPUT'
  /** Room in the provider's limits. */
  | 'QUOTA';

/** Why a build or task waits. Where several hold, it is the first of them in this order. */
export type WaitingReasonCode =
  /** As many builds run as may with the credential that its agent would use. */
  | 'CREDENTIAL_LIMIT'
  /** As much with its concurrency key runs as may. */
  | 'KEY_LIMIT'
  /** As much runs as may in all. */
  | 'LIMIT'
  /** Nothing holds it back: it starts when its turn comes, or when somebody claims it. */
  | 'NEXT'
  /** The workers that can run it are full. */
  | 'NO_FREE_SLOT'
  /** No worker that takes such work has all the labels that it needs, and reaches its repository. */
  | 'NO_WORKER'
  /** Everything is paused. */
  | 'PAUSED'
  /** As much of its project runs as may. */
  | 'PROJECT_LIMIT'
  /** Its project is paused. */
  | 'PROJECT_PAUSED'
  /** The key of its agent is at its provider's rate limit. */
  | 'QUOTA'
  /** Its time (runAfter, or the pause after a failure) has not come. */
  | 'RUN_AFTER';

/** How an attempt ended. */
export type WorkerAttemptOutcome =
  /** The build ended with it, well or badly. */
  | 'FINISHED'
  /** The worker or its workspace was lost. */
  | 'LOST'
  /** The worker gave the build back, or had to: drained, evicted, or its provider took no requests. */
  | 'RELEASED';

/** Every member that is present narrows the list. */
export type WorkerFilter = {
  /** All of these. */
  readonly labels?: ReadonlyArray<string> | null | undefined;
  /** Exactly this name. */
  readonly name?: string | null | undefined;
  /** Any of these. */
  readonly statuses?: ReadonlyArray<WorkerStatus> | null | undefined;
};

/** Whether a worker takes builds. */
export type WorkerStatus =
  /** It ends what it has and takes nothing new until uncordonWorker. */
  | 'CORDONED'
  /** It ends what it has and takes nothing new. */
  | 'DRAINING'
  /** What it ran was put back, and it takes nothing any more. */
  | 'EVICTED'
  /** It stopped, or has not been heard of. */
  | 'OFFLINE'
  /** It takes builds. */
  | 'ONLINE';

/** What the container of the agent is made of where builds run on Kubernetes; null leaves it to the template, or to the operator. Where builds run in folders of a machine it is kept and has no effect. */
export type WorkspaceInput = {
  /** Processors, such as `2` or `500m`: promised, and at most. */
  readonly cpu?: string | null | undefined;
  /** An image that the operator allows, with glibc, a shell and the program of the agent: `registry.example.com/team/agent:1.2`. */
  readonly image?: string | null | undefined;
  /** Memory, such as `4Gi`: promised, and at most. More ends the build with OUT_OF_MEMORY. */
  readonly memory?: string | null | undefined;
  /** What the checkout and all that the agent writes may use of the disk, such as `20Gi`. More ends the build with WORKSPACE_FULL. */
  readonly storage?: string | null | undefined;
};

export type BuildRowFragment = { readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly project: { readonly id: string, readonly slug: string }, readonly spec: { readonly provider: string, readonly branch: string }, readonly result: { readonly commitSha: string | null } | null };

export type UsageFieldsFragment = { readonly inputTokens: number | null, readonly outputTokens: number | null, readonly cacheReadTokens: number | null, readonly cacheWriteTokens: number | null, readonly costUsd: number | null, readonly turns: number | null };

export type MessageFieldsFragment = { readonly id: string, readonly mode: BuildMessageMode, readonly text: string, readonly state: BuildMessageState, readonly deliveredAs: BuildMessageMode | null, readonly sentBy: string, readonly sentAt: string, readonly deliveredAt: string | null };

export type QuestionFieldsFragment = { readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> };

export type BuildDetailFragment = { readonly waitingFor: WaitingFor | null, readonly resumeAt: string | null, readonly queuePosition: number | null, readonly estimatedStartAt: string | null, readonly source: BuildSource, readonly priority: number, readonly queuedMs: number, readonly requestedBy: string, readonly attempt: number, readonly cancelRequestedAt: string | null, readonly cancelReason: string | null, readonly idempotencyKey: string | null, readonly lastEventCursor: string, readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly waitingReason: { readonly code: WaitingReasonCode, readonly message: string } | null, readonly retryOf: { readonly id: string } | null, readonly supersededBy: { readonly id: string } | null, readonly failure: { readonly reason: FailureReason, readonly phase: BuildPhase, readonly message: string, readonly retryable: boolean, readonly remedy: string } | null, readonly usage: { readonly inputTokens: number | null, readonly outputTokens: number | null, readonly cacheReadTokens: number | null, readonly cacheWriteTokens: number | null, readonly costUsd: number | null, readonly turns: number | null } | null, readonly spec: { readonly prompt: string, readonly template: string | null, readonly autoCommit: boolean, readonly autoPush: boolean, readonly callbackUrl: string | null, readonly provider: string, readonly model: string | null, readonly branch: string, readonly concurrencyKey: string | null, readonly runsOn: ReadonlyArray<string>, readonly runAfter: string | null, readonly variables: ReadonlyArray<{ readonly name: string, readonly value: string }>, readonly labels: ReadonlyArray<{ readonly key: string, readonly value: string }>, readonly limits: { readonly wallSeconds: number, readonly silenceSeconds: number, readonly lingerSeconds: number, readonly maxRetries: number, readonly maxTurns: number | null, readonly maxTokens: number | null, readonly maxCostUsd: number | null }, readonly interaction: { readonly questions: boolean, readonly approvals: boolean, readonly waitSeconds: number, readonly defaultAnswer: string | null, readonly defaultDecision: DefaultDecision } }, readonly result: { readonly success: boolean, readonly output: string | null, readonly publication: Publication, readonly commitSha: string | null, readonly commitUrl: string | null, readonly branch: string | null, readonly durationMs: number, readonly sessionId: string | null, readonly filesChanged: ReadonlyArray<{ readonly path: string, readonly previousPath: string | null, readonly status: FileChangeStatus, readonly additions: number | null, readonly deletions: number | null }>, readonly artifacts: ReadonlyArray<{ readonly id: string, readonly name: string, readonly contentType: string, readonly sizeBytes: number, readonly sha256: string }> } | null, readonly callbacks: ReadonlyArray<{ readonly id: string, readonly url: string, readonly status: CallbackStatus }>, readonly questions: ReadonlyArray<{ readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> }>, readonly messages: ReadonlyArray<{ readonly id: string, readonly mode: BuildMessageMode, readonly text: string, readonly state: BuildMessageState, readonly deliveredAs: BuildMessageMode | null, readonly sentBy: string, readonly sentAt: string, readonly deliveredAt: string | null }>, readonly project: { readonly id: string, readonly slug: string } };

export type ProjectRowFragment = { readonly id: string, readonly slug: string, readonly name: string, readonly status: ProjectStatus, readonly repositoryUrl: string | null, readonly defaultBranch: string, readonly template: string | null, readonly createdAt: string };

export type FindProjectQueryVariables = Exact<{
  id?: string | null | undefined;
  slug?: string | null | undefined;
}>;


export type FindProjectQuery = { readonly project: { readonly id: string, readonly slug: string, readonly name: string, readonly status: ProjectStatus, readonly repositoryUrl: string | null, readonly defaultBranch: string, readonly template: string | null, readonly createdAt: string } | null };

export type FindBuildByNumberQueryVariables = Exact<{
  projectId: string;
  number: number;
}>;


export type FindBuildByNumberQuery = { readonly builds: { readonly nodes: ReadonlyArray<{ readonly id: string }> } };

export type ListProjectsQueryVariables = Exact<{
  first: number;
  filter?: ProjectFilter | null | undefined;
}>;


export type ListProjectsQuery = { readonly projects: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly slug: string, readonly name: string, readonly status: ProjectStatus, readonly repositoryUrl: string | null, readonly defaultBranch: string, readonly template: string | null, readonly createdAt: string }> } };

export type ListBuildsQueryVariables = Exact<{
  first: number;
  filter?: BuildFilter | null | undefined;
}>;


export type ListBuildsQuery = { readonly builds: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly project: { readonly id: string, readonly slug: string }, readonly spec: { readonly provider: string, readonly branch: string }, readonly result: { readonly commitSha: string | null } | null }> } };

export type ShowBuildQueryVariables = Exact<{
  id: string;
}>;


export type ShowBuildQuery = { readonly build: { readonly waitingFor: WaitingFor | null, readonly resumeAt: string | null, readonly queuePosition: number | null, readonly estimatedStartAt: string | null, readonly source: BuildSource, readonly priority: number, readonly queuedMs: number, readonly requestedBy: string, readonly attempt: number, readonly cancelRequestedAt: string | null, readonly cancelReason: string | null, readonly idempotencyKey: string | null, readonly lastEventCursor: string, readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly waitingReason: { readonly code: WaitingReasonCode, readonly message: string } | null, readonly retryOf: { readonly id: string } | null, readonly supersededBy: { readonly id: string } | null, readonly failure: { readonly reason: FailureReason, readonly phase: BuildPhase, readonly message: string, readonly retryable: boolean, readonly remedy: string } | null, readonly usage: { readonly inputTokens: number | null, readonly outputTokens: number | null, readonly cacheReadTokens: number | null, readonly cacheWriteTokens: number | null, readonly costUsd: number | null, readonly turns: number | null } | null, readonly spec: { readonly prompt: string, readonly template: string | null, readonly autoCommit: boolean, readonly autoPush: boolean, readonly callbackUrl: string | null, readonly provider: string, readonly model: string | null, readonly branch: string, readonly concurrencyKey: string | null, readonly runsOn: ReadonlyArray<string>, readonly runAfter: string | null, readonly variables: ReadonlyArray<{ readonly name: string, readonly value: string }>, readonly labels: ReadonlyArray<{ readonly key: string, readonly value: string }>, readonly limits: { readonly wallSeconds: number, readonly silenceSeconds: number, readonly lingerSeconds: number, readonly maxRetries: number, readonly maxTurns: number | null, readonly maxTokens: number | null, readonly maxCostUsd: number | null }, readonly interaction: { readonly questions: boolean, readonly approvals: boolean, readonly waitSeconds: number, readonly defaultAnswer: string | null, readonly defaultDecision: DefaultDecision } }, readonly result: { readonly success: boolean, readonly output: string | null, readonly publication: Publication, readonly commitSha: string | null, readonly commitUrl: string | null, readonly branch: string | null, readonly durationMs: number, readonly sessionId: string | null, readonly filesChanged: ReadonlyArray<{ readonly path: string, readonly previousPath: string | null, readonly status: FileChangeStatus, readonly additions: number | null, readonly deletions: number | null }>, readonly artifacts: ReadonlyArray<{ readonly id: string, readonly name: string, readonly contentType: string, readonly sizeBytes: number, readonly sha256: string }> } | null, readonly callbacks: ReadonlyArray<{ readonly id: string, readonly url: string, readonly status: CallbackStatus }>, readonly questions: ReadonlyArray<{ readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> }>, readonly messages: ReadonlyArray<{ readonly id: string, readonly mode: BuildMessageMode, readonly text: string, readonly state: BuildMessageState, readonly deliveredAs: BuildMessageMode | null, readonly sentBy: string, readonly sentAt: string, readonly deliveredAt: string | null }>, readonly project: { readonly id: string, readonly slug: string } } | null };

export type FindQuestionQueryVariables = Exact<{
  id: string;
}>;


export type FindQuestionQuery = { readonly node:
    | { readonly __typename: 'Artifact' }
    | { readonly __typename: 'Build' }
    | { readonly __typename: 'BuildMessage' }
    | { readonly __typename: 'BuildQuestion', readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> }
    | { readonly __typename: 'CallbackDelivery' }
    | { readonly __typename: 'Project' }
    | { readonly __typename: 'Schedule' }
    | { readonly __typename: 'Task' }
    | { readonly __typename: 'Worker' }
   | null };

export type LogEndQueryVariables = Exact<{
  id: string;
}>;


export type LogEndQuery = { readonly build: { readonly log: { readonly totalCount: number } } | null };

export type ListTokensQueryVariables = Exact<{
  first: number;
  includeRevoked: boolean;
}>;


export type ListTokensQuery = { readonly apiTokens: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly scopes: ReadonlyArray<string>, readonly projectIds: ReadonlyArray<string> | null, readonly createdBy: string, readonly createdAt: string, readonly expiresAt: string | null, readonly revokedAt: string | null, readonly lastUsedAt: string | null, readonly rotatedAt: string | null, readonly previousUntil: string | null }> } };

export type TokenRowFragment = { readonly id: string, readonly name: string, readonly scopes: ReadonlyArray<string>, readonly projectIds: ReadonlyArray<string> | null, readonly createdBy: string, readonly createdAt: string, readonly expiresAt: string | null, readonly revokedAt: string | null, readonly lastUsedAt: string | null, readonly rotatedAt: string | null, readonly previousUntil: string | null };

export type ListAuditQueryVariables = Exact<{
  first: number;
  filter?: AuditLogFilter | null | undefined;
}>;


export type ListAuditQuery = { readonly auditLog: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly at: string, readonly actor: string, readonly actorName: string | null, readonly action: string, readonly subjectType: string, readonly subjectId: string, readonly detail: unknown, readonly project: { readonly id: string, readonly slug: string } | null }> } };

export type AuditRowFragment = { readonly id: string, readonly at: string, readonly actor: string, readonly actorName: string | null, readonly action: string, readonly subjectType: string, readonly subjectId: string, readonly detail: unknown, readonly project: { readonly id: string, readonly slug: string } | null };

type QueueFiguresFields_LabelQueueFigures_Fragment = { readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null };

type QueueFiguresFields_ProjectQueueFigures_Fragment = { readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null };

type QueueFiguresFields_ProviderQueueFigures_Fragment = { readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null };

type QueueFiguresFields_QueueStats_Fragment = { readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null };

export type QueueFiguresFieldsFragment =
  | QueueFiguresFields_LabelQueueFigures_Fragment
  | QueueFiguresFields_ProjectQueueFigures_Fragment
  | QueueFiguresFields_ProviderQueueFigures_Fragment
  | QueueFiguresFields_QueueStats_Fragment
;

export type QueueNowFragment = { readonly workersOnline: number, readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null, readonly byReason: ReadonlyArray<{ readonly code: WaitingReasonCode, readonly count: number }> };

export type ShowQueueQueryVariables = Exact<{
  filter?: QueueStatsFilter | null | undefined;
  first: number;
}>;


export type ShowQueueQuery = { readonly queueStats: { readonly workersOnline: number, readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null, readonly byProject: ReadonlyArray<{ readonly projectId: string, readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null, readonly project: { readonly slug: string } | null }>, readonly byProvider: ReadonlyArray<{ readonly provider: string, readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null }>, readonly byReason: ReadonlyArray<{ readonly code: WaitingReasonCode, readonly count: number }> } };

export type ShowQueueSettingsQueryVariables = Exact<{ [key: string]: never; }>;


export type ShowQueueSettingsQuery = { readonly queue: { readonly pausedAt: string | null, readonly pausedBy: string | null, readonly maxRunning: number | null } };

export type WatchQueueSubscriptionVariables = Exact<{
  projectId?: string | null | undefined;
}>;


export type WatchQueueSubscription = { readonly queueActivity: { readonly workersOnline: number, readonly waiting: number, readonly scheduled: number, readonly running: number, readonly oldestQueuedAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null, readonly byReason: ReadonlyArray<{ readonly code: WaitingReasonCode, readonly count: number }> } };

export type WaitOfBuildQueryVariables = Exact<{
  id: string;
}>;


export type WaitOfBuildQuery = { readonly build: { readonly status: BuildStatus, readonly queuePosition: number | null, readonly estimatedStartAt: string | null, readonly waitingReason: { readonly code: WaitingReasonCode, readonly message: string } | null } | null };

export type ListAgentsQueryVariables = Exact<{ [key: string]: never; }>;


export type ListAgentsQuery = { readonly agents: ReadonlyArray<{ readonly name: string, readonly capabilities: { readonly resume: boolean, readonly cost: boolean, readonly models: boolean, readonly messages: ReadonlyArray<BuildMessageMode>, readonly questions: boolean, readonly permissions: boolean }, readonly workers: ReadonlyArray<{ readonly available: boolean, readonly version: string | null, readonly hasKey: boolean, readonly reason: string | null, readonly remedy: string | null, readonly worker: { readonly id: string, readonly name: string } }>, readonly drift: ReadonlyArray<{ readonly version: string, readonly name: string, readonly count: number, readonly firstSeenAt: string, readonly lastSeenAt: string }> }> };

export type BuildEndQueryVariables = Exact<{
  id: string;
}>;


export type BuildEndQuery = { readonly build: { readonly status: BuildStatus, readonly lastEventCursor: string } | null };

export type CreateProjectMutationVariables = Exact<{
  input: ProjectInput;
}>;


export type CreateProjectMutation = { readonly createProject:
    | { readonly __typename: 'ConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'CreateProjectPayload', readonly callbackSecret: string | null, readonly project: { readonly id: string, readonly slug: string, readonly name: string, readonly status: ProjectStatus, readonly repositoryUrl: string | null, readonly defaultBranch: string, readonly template: string | null, readonly createdAt: string } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
   };

export type StartBuildMutationVariables = Exact<{
  input: StartBuildInput;
}>;


export type StartBuildMutation = { readonly startBuild:
    | { readonly __typename: 'BudgetExceededError', readonly code: string, readonly message: string }
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'IdempotencyConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'ProjectNotReadyError', readonly code: string, readonly message: string }
    | { readonly __typename: 'StartBuildPayload', readonly deduplicated: boolean, readonly build: { readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly project: { readonly id: string, readonly slug: string }, readonly spec: { readonly provider: string, readonly branch: string }, readonly result: { readonly commitSha: string | null } | null } }
   };

export type CancelBuildMutationVariables = Exact<{
  input: CancelBuildInput;
}>;


export type CancelBuildMutation = { readonly cancelBuild:
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'CancelBuildPayload', readonly build: { readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly project: { readonly id: string, readonly slug: string }, readonly spec: { readonly provider: string, readonly branch: string }, readonly result: { readonly commitSha: string | null } | null } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type RetryBuildMutationVariables = Exact<{
  input: RetryBuildInput;
}>;


export type RetryBuildMutation = { readonly retryBuild:
    | { readonly __typename: 'BudgetExceededError', readonly code: string, readonly message: string }
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'IdempotencyConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'ProjectNotReadyError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RetryBuildPayload', readonly deduplicated: boolean, readonly build: { readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly project: { readonly id: string, readonly slug: string }, readonly spec: { readonly provider: string, readonly branch: string }, readonly result: { readonly commitSha: string | null } | null } }
   };

export type SendBuildMessageMutationVariables = Exact<{
  input: SendBuildMessageInput;
}>;


export type SendBuildMessageMutation = { readonly sendBuildMessage:
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'IdempotencyConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'SendBuildMessagePayload', readonly deduplicated: boolean, readonly buildMessage: { readonly id: string, readonly mode: BuildMessageMode, readonly text: string, readonly state: BuildMessageState, readonly deliveredAs: BuildMessageMode | null, readonly sentBy: string, readonly sentAt: string, readonly deliveredAt: string | null } }
   };

export type AnswerBuildQuestionMutationVariables = Exact<{
  input: AnswerBuildQuestionInput;
}>;


export type AnswerBuildQuestionMutation = { readonly answerBuildQuestion:
    | { readonly __typename: 'AnswerBuildQuestionPayload', readonly question: { readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> } }
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type ApproveBuildMutationVariables = Exact<{
  input: ApproveBuildInput;
}>;


export type ApproveBuildMutation = { readonly approveBuild:
    | { readonly __typename: 'ApproveBuildPayload', readonly question: { readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> } }
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type RejectBuildMutationVariables = Exact<{
  input: RejectBuildInput;
}>;


export type RejectBuildMutation = { readonly rejectBuild:
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RejectBuildPayload', readonly question: { readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> } }
   };

export type CreateTokenMutationVariables = Exact<{
  input: CreateApiTokenInput;
}>;


export type CreateTokenMutation = { readonly createApiToken:
    | { readonly __typename: 'CreateApiTokenPayload', readonly id: string, readonly token: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type RotateTokenMutationVariables = Exact<{
  input: RotateApiTokenInput;
}>;


export type RotateTokenMutation = { readonly rotateApiToken:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RotateApiTokenPayload', readonly token: string, readonly apiToken: { readonly id: string, readonly name: string, readonly scopes: ReadonlyArray<string>, readonly projectIds: ReadonlyArray<string> | null, readonly createdBy: string, readonly createdAt: string, readonly expiresAt: string | null, readonly revokedAt: string | null, readonly lastUsedAt: string | null, readonly rotatedAt: string | null, readonly previousUntil: string | null } }
   };

export type RevokeTokenMutationVariables = Exact<{
  input: RevokeApiTokenInput;
}>;


export type RevokeTokenMutation = { readonly revokeApiToken:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RevokeApiTokenPayload', readonly apiToken: { readonly id: string, readonly name: string } }
   };

export type WatchBuildSubscriptionVariables = Exact<{
  buildId: string;
  after?: string | null | undefined;
}>;


export type WatchBuildSubscription = { readonly buildProgress:
    | { readonly __typename: 'AgentActivity', readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number, readonly content:
        | { readonly __typename: 'AgentMessage', readonly text: string }
        | { readonly __typename: 'AgentRetry', readonly reason: string, readonly message: string }
        | { readonly __typename: 'AgentThought', readonly text: string }
        | { readonly __typename: 'AgentToolCall', readonly callId: string, readonly tool: string, readonly input: unknown }
        | { readonly __typename: 'AgentToolResult', readonly callId: string, readonly status: AgentToolStatus, readonly output: string | null, readonly truncated: boolean }
       }
    | { readonly __typename: 'AgentStarted', readonly provider: string, readonly model: string | null, readonly agentVersion: string | null, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'ArtifactCreated', readonly name: string, readonly sizeBytes: number, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildFinished', readonly status: BuildStatus, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number, readonly failureReason: string | null, readonly failureMessage: string | null }
    | { readonly __typename: 'BuildMessageDelivered', readonly messageId: string, readonly deliveredAs: BuildMessageMode, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildMessageSent', readonly messageId: string, readonly mode: BuildMessageMode, readonly text: string, readonly sentBy: string, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildPhaseChanged', readonly from: BuildPhase, readonly to: BuildPhase, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildProgressed', readonly message: string, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildQuestionAsked', readonly questionId: string, readonly expiresAt: string, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number, readonly question: { readonly id: string, readonly kind: BuildQuestionKind, readonly tool: string | null, readonly input: unknown, readonly description: string | null, readonly state: BuildQuestionState, readonly answers: ReadonlyArray<ReadonlyArray<string>> | null, readonly allowed: boolean | null, readonly note: string | null, readonly askedAt: string, readonly expiresAt: string, readonly closedAt: string | null, readonly closedBy: string | null, readonly questions: ReadonlyArray<{ readonly question: string, readonly header: string | null, readonly multiple: boolean, readonly options: ReadonlyArray<{ readonly label: string, readonly description: string | null }> }> } }
    | { readonly __typename: 'BuildQuestionClosed', readonly questionId: string, readonly state: BuildQuestionState, readonly closedBy: string | null, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildQueued', readonly runAfter: string | null, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildRetryScheduled', readonly message: string, readonly resumeAt: string | null, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number, readonly retryReason: string }
    | { readonly __typename: 'BuildStarted', readonly workerName: string, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'BuildWarning', readonly message: string, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'CancelRequested', readonly requestedBy: string, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number, readonly cancelReason: string | null }
    | { readonly __typename: 'GitCommitted', readonly sha: string, readonly message: string, readonly filesChanged: number, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'GitPushed', readonly sha: string, readonly ref: string, readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number }
    | { readonly __typename: 'UsageUpdated', readonly cursor: string, readonly type: BuildEventType, readonly at: string, readonly attempt: number, readonly usage: { readonly inputTokens: number | null, readonly outputTokens: number | null, readonly cacheReadTokens: number | null, readonly cacheWriteTokens: number | null, readonly costUsd: number | null, readonly turns: number | null } }
   };

export type WatchLogSubscriptionVariables = Exact<{
  buildId: string;
  after?: string | null | undefined;
}>;


export type WatchLogSubscription = { readonly buildLog: { readonly cursor: string, readonly finished: boolean, readonly lines: ReadonlyArray<{ readonly number: number, readonly at: string, readonly stream: LogStream, readonly text: string }> } };

export type CredentialRowFragment = { readonly name: string, readonly kind: CredentialKind, readonly target: string | null, readonly baseUrl: string | null, readonly previousUntil: string | null, readonly keyId: string, readonly createdAt: string, readonly updatedAt: string, readonly lastUsedAt: string | null };

export type ListCredentialsQueryVariables = Exact<{ [key: string]: never; }>;


export type ListCredentialsQuery = { readonly credentials: ReadonlyArray<{ readonly name: string, readonly kind: CredentialKind, readonly target: string | null, readonly baseUrl: string | null, readonly previousUntil: string | null, readonly keyId: string, readonly createdAt: string, readonly updatedAt: string, readonly lastUsedAt: string | null }> };

export type ListProjectCredentialsQueryVariables = Exact<{
  id: string;
}>;


export type ListProjectCredentialsQuery = { readonly project: { readonly credentials: ReadonlyArray<{ readonly name: string, readonly kind: CredentialKind, readonly target: string | null, readonly baseUrl: string | null, readonly previousUntil: string | null, readonly keyId: string, readonly createdAt: string, readonly updatedAt: string, readonly lastUsedAt: string | null }> | null } | null };

export type SetCredentialMutationVariables = Exact<{
  input: SetCredentialInput;
}>;


export type SetCredentialMutation = { readonly setCredential:
    | { readonly __typename: 'ConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'SetCredentialPayload', readonly credential: { readonly name: string, readonly kind: CredentialKind, readonly target: string | null, readonly baseUrl: string | null, readonly previousUntil: string | null, readonly keyId: string, readonly createdAt: string, readonly updatedAt: string, readonly lastUsedAt: string | null } }
   };

export type DeleteCredentialMutationVariables = Exact<{
  input: DeleteCredentialInput;
}>;


export type DeleteCredentialMutation = { readonly deleteCredential:
    | { readonly __typename: 'DeleteCredentialPayload', readonly credential: { readonly name: string, readonly kind: CredentialKind, readonly target: string | null, readonly baseUrl: string | null, readonly previousUntil: string | null, readonly keyId: string, readonly createdAt: string, readonly updatedAt: string, readonly lastUsedAt: string | null } }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type QueueSettingsFieldsFragment = { readonly pausedAt: string | null, readonly pausedBy: string | null, readonly maxRunning: number | null };

export type ProjectQueueFieldsFragment = { readonly id: string, readonly slug: string, readonly pausedAt: string | null, readonly pausedBy: string | null, readonly settings: { readonly queue: { readonly maxRunning: number | null, readonly maxRunningPerKey: number, readonly weight: number } | null }, readonly concurrencyKeys: ReadonlyArray<{ readonly name: string, readonly maxRunning: number, readonly running: number }> };

export type UpdateProjectMutationVariables = Exact<{
  input: UpdateProjectInput;
}>;


export type UpdateProjectMutation = { readonly updateProject:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'UpdateProjectPayload', readonly project: { readonly id: string, readonly slug: string, readonly pausedAt: string | null, readonly pausedBy: string | null, readonly settings: { readonly queue: { readonly maxRunning: number | null, readonly maxRunningPerKey: number, readonly weight: number } | null }, readonly concurrencyKeys: ReadonlyArray<{ readonly name: string, readonly maxRunning: number, readonly running: number }> } }
   };

export type PauseProjectMutationVariables = Exact<{
  input: PauseProjectInput;
}>;


export type PauseProjectMutation = { readonly pauseProject:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'PauseProjectPayload', readonly project: { readonly id: string, readonly slug: string, readonly pausedAt: string | null, readonly pausedBy: string | null, readonly settings: { readonly queue: { readonly maxRunning: number | null, readonly maxRunningPerKey: number, readonly weight: number } | null }, readonly concurrencyKeys: ReadonlyArray<{ readonly name: string, readonly maxRunning: number, readonly running: number }> } }
   };

export type ResumeProjectMutationVariables = Exact<{
  input: ResumeProjectInput;
}>;


export type ResumeProjectMutation = { readonly resumeProject:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'ResumeProjectPayload', readonly project: { readonly id: string, readonly slug: string, readonly pausedAt: string | null, readonly pausedBy: string | null, readonly settings: { readonly queue: { readonly maxRunning: number | null, readonly maxRunningPerKey: number, readonly weight: number } | null }, readonly concurrencyKeys: ReadonlyArray<{ readonly name: string, readonly maxRunning: number, readonly running: number }> } }
   };

export type SetKeyLimitMutationVariables = Exact<{
  input: SetKeyLimitInput;
}>;


export type SetKeyLimitMutation = { readonly setKeyLimit:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'SetKeyLimitPayload', readonly project: { readonly id: string, readonly slug: string, readonly pausedAt: string | null, readonly pausedBy: string | null, readonly settings: { readonly queue: { readonly maxRunning: number | null, readonly maxRunningPerKey: number, readonly weight: number } | null }, readonly concurrencyKeys: ReadonlyArray<{ readonly name: string, readonly maxRunning: number, readonly running: number }> } }
   };

export type UpdateQueueMutationVariables = Exact<{
  input: UpdateQueueInput;
}>;


export type UpdateQueueMutation = { readonly updateQueue:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'UpdateQueuePayload', readonly queue: { readonly pausedAt: string | null, readonly pausedBy: string | null, readonly maxRunning: number | null } }
   };

export type SetBuildPriorityMutationVariables = Exact<{
  input: SetBuildPriorityInput;
}>;


export type SetBuildPriorityMutation = { readonly setBuildPriority:
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'SetBuildPriorityPayload', readonly build: { readonly priority: number, readonly id: string, readonly number: number, readonly status: BuildStatus, readonly phase: BuildPhase, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly durationMs: number | null, readonly project: { readonly id: string, readonly slug: string }, readonly spec: { readonly provider: string, readonly branch: string }, readonly result: { readonly commitSha: string | null } | null } }
   };

export type SetCredentialLimitMutationVariables = Exact<{
  input: SetCredentialLimitInput;
}>;


export type SetCredentialLimitMutation = { readonly setCredentialLimit:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'SetCredentialLimitPayload', readonly credential: { readonly maxRunning: number | null, readonly name: string, readonly kind: CredentialKind, readonly target: string | null, readonly baseUrl: string | null, readonly previousUntil: string | null, readonly keyId: string, readonly createdAt: string, readonly updatedAt: string, readonly lastUsedAt: string | null } }
   };

export type WorkerRowFragment = { readonly id: string, readonly name: string, readonly status: WorkerStatus, readonly version: string, readonly capacity: number, readonly running: number, readonly labels: ReadonlyArray<string>, readonly remote: boolean, readonly startedAt: string, readonly lastHeartbeatAt: string, readonly cordonedAt: string | null, readonly cordonedBy: string | null, readonly drainUntil: string | null, readonly evictedAt: string | null };

export type ListWorkersQueryVariables = Exact<{
  first: number;
  filter?: WorkerFilter | null | undefined;
}>;


export type ListWorkersQuery = { readonly workers: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly status: WorkerStatus, readonly version: string, readonly capacity: number, readonly running: number, readonly labels: ReadonlyArray<string>, readonly remote: boolean, readonly startedAt: string, readonly lastHeartbeatAt: string, readonly cordonedAt: string | null, readonly cordonedBy: string | null, readonly drainUntil: string | null, readonly evictedAt: string | null }> } };

export type ShowWorkerQueryVariables = Exact<{
  id: string;
  first: number;
}>;


export type ShowWorkerQuery = { readonly worker: { readonly id: string, readonly name: string, readonly status: WorkerStatus, readonly version: string, readonly capacity: number, readonly running: number, readonly labels: ReadonlyArray<string>, readonly remote: boolean, readonly startedAt: string, readonly lastHeartbeatAt: string, readonly cordonedAt: string | null, readonly cordonedBy: string | null, readonly drainUntil: string | null, readonly evictedAt: string | null, readonly hardware: { readonly cpus: number, readonly memoryBytes: number, readonly platform: string, readonly arch: string } | null, readonly history: { readonly nodes: ReadonlyArray<{ readonly attemptNo: number, readonly startedAt: string, readonly endedAt: string | null, readonly durationMs: number | null, readonly outcome: WorkerAttemptOutcome | null, readonly build: { readonly id: string, readonly number: number, readonly project: { readonly slug: string } } }> } } | null };

export type CordonWorkerMutationVariables = Exact<{
  input: CordonWorkerInput;
}>;


export type CordonWorkerMutation = { readonly cordonWorker:
    | { readonly __typename: 'CordonWorkerPayload', readonly worker: { readonly id: string, readonly name: string, readonly status: WorkerStatus, readonly version: string, readonly capacity: number, readonly running: number, readonly labels: ReadonlyArray<string>, readonly remote: boolean, readonly startedAt: string, readonly lastHeartbeatAt: string, readonly cordonedAt: string | null, readonly cordonedBy: string | null, readonly drainUntil: string | null, readonly evictedAt: string | null } }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type UncordonWorkerMutationVariables = Exact<{
  input: UncordonWorkerInput;
}>;


export type UncordonWorkerMutation = { readonly uncordonWorker:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'UncordonWorkerPayload', readonly worker: { readonly id: string, readonly name: string, readonly status: WorkerStatus, readonly version: string, readonly capacity: number, readonly running: number, readonly labels: ReadonlyArray<string>, readonly remote: boolean, readonly startedAt: string, readonly lastHeartbeatAt: string, readonly cordonedAt: string | null, readonly cordonedBy: string | null, readonly drainUntil: string | null, readonly evictedAt: string | null } }
   };

export type DrainWorkerMutationVariables = Exact<{
  input: DrainWorkerInput;
}>;


export type DrainWorkerMutation = { readonly drainWorker:
    | { readonly __typename: 'DrainWorkerPayload', readonly worker: { readonly id: string, readonly name: string, readonly status: WorkerStatus, readonly version: string, readonly capacity: number, readonly running: number, readonly labels: ReadonlyArray<string>, readonly remote: boolean, readonly startedAt: string, readonly lastHeartbeatAt: string, readonly cordonedAt: string | null, readonly cordonedBy: string | null, readonly drainUntil: string | null, readonly evictedAt: string | null } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type EvictWorkerMutationVariables = Exact<{
  input: EvictWorkerInput;
}>;


export type EvictWorkerMutation = { readonly evictWorker:
    | { readonly __typename: 'EvictWorkerPayload', readonly worker: { readonly id: string, readonly name: string, readonly status: WorkerStatus, readonly version: string, readonly capacity: number, readonly running: number, readonly labels: ReadonlyArray<string>, readonly remote: boolean, readonly startedAt: string, readonly lastHeartbeatAt: string, readonly cordonedAt: string | null, readonly cordonedBy: string | null, readonly drainUntil: string | null, readonly evictedAt: string | null } }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type CreateEnrolmentTokenMutationVariables = Exact<{
  input: CreateEnrolmentTokenInput;
}>;


export type CreateEnrolmentTokenMutation = { readonly createEnrolmentToken:
    | { readonly __typename: 'CreateEnrolmentTokenPayload', readonly token: string, readonly enrolmentToken: { readonly id: string, readonly expiresAt: string } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type EnrolmentRowFragment = { readonly id: string, readonly name: string, readonly state: EnrolmentState, readonly labels: ReadonlyArray<string> | null, readonly projectIds: ReadonlyArray<string> | null, readonly createdBy: string, readonly createdAt: string, readonly expiresAt: string, readonly usedAt: string | null, readonly workerName: string | null, readonly apiTokenId: string | null };

export type ListEnrolmentsQueryVariables = Exact<{
  first: number;
  onlyOpen: boolean;
}>;


export type ListEnrolmentsQuery = { readonly enrolmentTokens: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly state: EnrolmentState, readonly labels: ReadonlyArray<string> | null, readonly projectIds: ReadonlyArray<string> | null, readonly createdBy: string, readonly createdAt: string, readonly expiresAt: string, readonly usedAt: string | null, readonly workerName: string | null, readonly apiTokenId: string | null }> } };

export type RevokeEnrolmentMutationVariables = Exact<{
  input: RevokeEnrolmentTokenInput;
}>;


export type RevokeEnrolmentMutation = { readonly revokeEnrolmentToken:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RevokeEnrolmentTokenPayload', readonly enrolmentToken: { readonly id: string, readonly name: string, readonly state: EnrolmentState, readonly labels: ReadonlyArray<string> | null, readonly projectIds: ReadonlyArray<string> | null, readonly createdBy: string, readonly createdAt: string, readonly expiresAt: string, readonly usedAt: string | null, readonly workerName: string | null, readonly apiTokenId: string | null } }
   };

export type TaskRowFragment = { readonly id: string, readonly type: string, readonly status: TaskStatus, readonly attempt: number, readonly priority: number, readonly claimedBy: string | null, readonly readyAt: string, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly project: { readonly slug: string }, readonly failure: { readonly reason: string, readonly retryable: boolean } | null };

export type EnqueueTaskMutationVariables = Exact<{
  input: EnqueueTaskInput;
}>;


export type EnqueueTaskMutation = { readonly enqueueTask:
    | { readonly __typename: 'BudgetExceededError', readonly code: string, readonly message: string }
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'EnqueueTaskPayload', readonly deduplicated: boolean, readonly task: { readonly id: string, readonly type: string, readonly status: TaskStatus, readonly attempt: number, readonly priority: number, readonly claimedBy: string | null, readonly readyAt: string, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly project: { readonly slug: string }, readonly failure: { readonly reason: string, readonly retryable: boolean } | null } }
    | { readonly __typename: 'IdempotencyConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'ProjectNotReadyError', readonly code: string, readonly message: string }
   };

export type ListTasksQueryVariables = Exact<{
  first: number;
  filter: TaskFilter;
}>;


export type ListTasksQuery = { readonly tasks: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly type: string, readonly status: TaskStatus, readonly attempt: number, readonly priority: number, readonly claimedBy: string | null, readonly readyAt: string, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly project: { readonly slug: string }, readonly failure: { readonly reason: string, readonly retryable: boolean } | null }> } };

export type ShowTaskQueryVariables = Exact<{
  id: string;
}>;


export type ShowTaskQuery = { readonly task: { readonly payload: unknown, readonly result: unknown, readonly progress: unknown, readonly failures: number, readonly runsOn: ReadonlyArray<string>, readonly concurrencyKey: string | null, readonly leaseUntil: string | null, readonly cancelRequestedAt: string | null, readonly cancelReason: string | null, readonly id: string, readonly type: string, readonly status: TaskStatus, readonly attempt: number, readonly priority: number, readonly claimedBy: string | null, readonly readyAt: string, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly waitingReason: { readonly code: WaitingReasonCode, readonly message: string } | null, readonly labels: ReadonlyArray<{ readonly key: string, readonly value: string }>, readonly events: { readonly nodes: ReadonlyArray<{ readonly cursor: string }> }, readonly project: { readonly slug: string }, readonly failure: { readonly reason: string, readonly retryable: boolean } | null } | null };

export type CancelTaskMutationVariables = Exact<{
  input: CancelTaskInput;
}>;


export type CancelTaskMutation = { readonly cancelTask:
    | { readonly __typename: 'BuildStateError', readonly code: string, readonly message: string }
    | { readonly __typename: 'CancelTaskPayload', readonly task: { readonly id: string, readonly type: string, readonly status: TaskStatus, readonly attempt: number, readonly priority: number, readonly claimedBy: string | null, readonly readyAt: string, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly project: { readonly slug: string }, readonly failure: { readonly reason: string, readonly retryable: boolean } | null } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'TaskStateError', readonly code: string, readonly message: string }
   };

export type RequeueTaskMutationVariables = Exact<{
  input: RequeueTaskInput;
}>;


export type RequeueTaskMutation = { readonly requeueTask:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RequeueTaskPayload', readonly task: { readonly id: string, readonly type: string, readonly status: TaskStatus, readonly attempt: number, readonly priority: number, readonly claimedBy: string | null, readonly readyAt: string, readonly createdAt: string, readonly startedAt: string | null, readonly finishedAt: string | null, readonly project: { readonly slug: string }, readonly failure: { readonly reason: string, readonly retryable: boolean } | null } }
    | { readonly __typename: 'TaskStateError', readonly code: string, readonly message: string }
   };

export type RedeliverTaskCallbackMutationVariables = Exact<{
  input: RedeliverTaskCallbackInput;
}>;


export type RedeliverTaskCallbackMutation = { readonly redeliverTaskCallback:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RedeliverTaskCallbackPayload', readonly delivery: { readonly id: string, readonly messageId: string, readonly url: string, readonly status: CallbackStatus } }
    | { readonly __typename: 'TaskStateError', readonly code: string, readonly message: string }
   };

export type RedeliverCallbackMutationVariables = Exact<{
  input: RedeliverCallbackInput;
}>;


export type RedeliverCallbackMutation = { readonly redeliverCallback:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'RedeliverCallbackPayload', readonly delivery: { readonly id: string, readonly messageId: string, readonly url: string, readonly status: CallbackStatus } }
   };

export type DeliveryRowFragment = { readonly id: string, readonly messageId: string, readonly url: string, readonly status: CallbackStatus };

export type ShowTaskStatsQueryVariables = Exact<{
  projectId?: string | null | undefined;
  type?: string | null | undefined;
}>;


export type ShowTaskStatsQuery = { readonly taskStats: { readonly waiting: number, readonly delayed: number, readonly running: number, readonly dead: number, readonly oldestReadyAt: string | null, readonly throughputPerMinute: number, readonly waitP50Ms: number | null, readonly waitP95Ms: number | null } };

export type WatchTaskSubscriptionVariables = Exact<{
  taskId: string;
  after?: string | null | undefined;
}>;


export type WatchTaskSubscription = { readonly taskProgress: { readonly cursor: string, readonly type: TaskEventType, readonly at: string, readonly attempt: number, readonly data: unknown } };

export type ClaimTaskMutationVariables = Exact<{
  input: ClaimTaskInput;
}>;


export type ClaimTaskMutation = { readonly claimTask:
    | { readonly __typename: 'ClaimTaskPayload', readonly claim: { readonly leaseToken: string, readonly task: { readonly id: string, readonly type: string, readonly attempt: number, readonly leaseSeconds: number, readonly payload: unknown } } | null }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
   };

export type HeartbeatTaskMutationVariables = Exact<{
  input: HeartbeatTaskInput;
}>;


export type HeartbeatTaskMutation = { readonly heartbeatTask:
    | { readonly __typename: 'HeartbeatTaskPayload', readonly cancelRequested: boolean }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string }
    | { readonly __typename: 'LeaseLostError', readonly code: string, readonly message: string }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'TaskStateError', readonly code: string, readonly message: string }
   };

export type CompleteTaskMutationVariables = Exact<{
  input: CompleteTaskInput;
}>;


export type CompleteTaskMutation = { readonly completeTask:
    | { readonly __typename: 'CompleteTaskPayload', readonly task: { readonly status: TaskStatus } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string }
    | { readonly __typename: 'LeaseLostError', readonly code: string, readonly message: string }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'TaskStateError', readonly code: string, readonly message: string }
   };

export type FailTaskMutationVariables = Exact<{
  input: FailTaskInput;
}>;


export type FailTaskMutation = { readonly failTask:
    | { readonly __typename: 'FailTaskPayload', readonly task: { readonly status: TaskStatus } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string }
    | { readonly __typename: 'LeaseLostError', readonly code: string, readonly message: string }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'TaskStateError', readonly code: string, readonly message: string }
   };

export type ReleaseTaskMutationVariables = Exact<{
  input: ReleaseTaskInput;
}>;


export type ReleaseTaskMutation = { readonly releaseTask:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string }
    | { readonly __typename: 'LeaseLostError', readonly code: string, readonly message: string }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'ReleaseTaskPayload', readonly task: { readonly status: TaskStatus } }
    | { readonly __typename: 'TaskStateError', readonly code: string, readonly message: string }
   };

export type TaskTypeRowFragment = { readonly name: string, readonly schema: unknown, readonly updatedAt: string | null, readonly project: { readonly slug: string } | null };

export type ListTaskTypesQueryVariables = Exact<{
  projectId?: string | null | undefined;
}>;


export type ListTaskTypesQuery = { readonly taskTypes: ReadonlyArray<{ readonly name: string, readonly schema: unknown, readonly updatedAt: string | null, readonly project: { readonly slug: string } | null }> };

export type SetTaskTypeMutationVariables = Exact<{
  input: SetTaskTypeInput;
}>;


export type SetTaskTypeMutation = { readonly setTaskType:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'SetTaskTypePayload', readonly taskType: { readonly name: string, readonly schema: unknown, readonly updatedAt: string | null, readonly project: { readonly slug: string } | null } }
   };

export type DeleteTaskTypeMutationVariables = Exact<{
  input: DeleteTaskTypeInput;
}>;


export type DeleteTaskTypeMutation = { readonly deleteTaskType:
    | { readonly __typename: 'DeleteTaskTypePayload', readonly taskType: { readonly name: string, readonly schema: unknown, readonly updatedAt: string | null, readonly project: { readonly slug: string } | null } }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type CancelBuildsMutationVariables = Exact<{
  input: CancelBuildsInput;
}>;


export type CancelBuildsMutation = { readonly cancelBuilds:
    | { readonly __typename: 'CancelBuildsPayload', readonly dryRun: boolean, readonly matched: number, readonly changed: number, readonly ids: ReadonlyArray<string>, readonly hasMore: boolean, readonly skipped: ReadonlyArray<{ readonly id: string, readonly code: string, readonly message: string }> }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
   };

export type RetryBuildsMutationVariables = Exact<{
  input: RetryBuildsInput;
}>;


export type RetryBuildsMutation = { readonly retryBuilds:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'RetryBuildsPayload', readonly dryRun: boolean, readonly matched: number, readonly changed: number, readonly ids: ReadonlyArray<string>, readonly startedIds: ReadonlyArray<string>, readonly hasMore: boolean, readonly skipped: ReadonlyArray<{ readonly id: string, readonly code: string, readonly message: string }> }
   };

export type ScheduleFieldsFragment = { readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null };

export type ListSchedulesQueryVariables = Exact<{
  projectId: string;
  after?: string | null | undefined;
}>;


export type ListSchedulesQuery = { readonly project: { readonly schedules: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } } | null };

export type ShowNextRunsQueryVariables = Exact<{
  id: string;
  first: number;
}>;


export type ShowNextRunsQuery = { readonly schedule: { readonly nextRuns: ReadonlyArray<string>, readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null } | null };

export type CreateScheduleMutationVariables = Exact<{
  input: CreateScheduleInput;
}>;


export type CreateScheduleMutation = { readonly createSchedule:
    | { readonly __typename: 'ConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'CreateSchedulePayload', readonly schedule: { readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null } }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export type UpdateScheduleMutationVariables = Exact<{
  input: UpdateScheduleInput;
}>;


export type UpdateScheduleMutation = { readonly updateSchedule:
    | { readonly __typename: 'ConflictError', readonly code: string, readonly message: string }
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'UpdateSchedulePayload', readonly schedule: { readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null } }
   };

export type PauseScheduleMutationVariables = Exact<{
  input: PauseScheduleInput;
}>;


export type PauseScheduleMutation = { readonly pauseSchedule:
    | { readonly __typename: 'InvalidInputError', readonly code: string, readonly message: string, readonly issues: ReadonlyArray<{ readonly path: ReadonlyArray<string>, readonly message: string }> }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'PauseSchedulePayload', readonly schedule: { readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null } }
   };

export type ResumeScheduleMutationVariables = Exact<{
  input: ResumeScheduleInput;
}>;


export type ResumeScheduleMutation = { readonly resumeSchedule:
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
    | { readonly __typename: 'ResumeSchedulePayload', readonly schedule: { readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null } }
   };

export type DeleteScheduleMutationVariables = Exact<{
  input: DeleteScheduleInput;
}>;


export type DeleteScheduleMutation = { readonly deleteSchedule:
    | { readonly __typename: 'DeleteSchedulePayload', readonly schedule: { readonly id: string, readonly name: string, readonly cron: string, readonly timeZone: string, readonly spec: unknown, readonly overlap: ScheduleOverlap, readonly catchUp: ScheduleCatchUp, readonly catchUpSeconds: number, readonly paused: boolean, readonly pausedReason: string | null, readonly nextRunAt: string | null, readonly lastRunAt: string | null, readonly lastSkippedAt: string | null, readonly lastSkippedReason: string | null, readonly lastError: string | null, readonly project: { readonly id: string, readonly slug: string }, readonly lastBuild: { readonly id: string, readonly number: number, readonly status: BuildStatus } | null } }
    | { readonly __typename: 'NotFoundError', readonly code: string, readonly message: string }
   };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const BuildRowFragmentDoc = new TypedDocumentString(`
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}
    `, {"fragmentName":"BuildRow"}) as unknown as TypedDocumentString<BuildRowFragment, unknown>;
export const UsageFieldsFragmentDoc = new TypedDocumentString(`
    fragment UsageFields on Usage {
  inputTokens
  outputTokens
  cacheReadTokens
  cacheWriteTokens
  costUsd
  turns
}
    `, {"fragmentName":"UsageFields"}) as unknown as TypedDocumentString<UsageFieldsFragment, unknown>;
export const QuestionFieldsFragmentDoc = new TypedDocumentString(`
    fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}
    `, {"fragmentName":"QuestionFields"}) as unknown as TypedDocumentString<QuestionFieldsFragment, unknown>;
export const MessageFieldsFragmentDoc = new TypedDocumentString(`
    fragment MessageFields on BuildMessage {
  id
  mode
  text
  state
  deliveredAs
  sentBy
  sentAt
  deliveredAt
}
    `, {"fragmentName":"MessageFields"}) as unknown as TypedDocumentString<MessageFieldsFragment, unknown>;
export const BuildDetailFragmentDoc = new TypedDocumentString(`
    fragment BuildDetail on Build {
  ...BuildRow
  waitingFor
  resumeAt
  waitingReason {
    code
    message
  }
  queuePosition
  estimatedStartAt
  source
  priority
  queuedMs
  requestedBy
  attempt
  retryOf {
    id
  }
  cancelRequestedAt
  cancelReason
  supersededBy {
    id
  }
  idempotencyKey
  lastEventCursor
  failure {
    reason
    phase
    message
    retryable
    remedy
  }
  usage {
    ...UsageFields
  }
  spec {
    prompt
    template
    variables {
      name
      value
    }
    autoCommit
    autoPush
    callbackUrl
    provider
    model
    branch
    labels {
      key
      value
    }
    concurrencyKey
    runsOn
    limits {
      wallSeconds
      silenceSeconds
      lingerSeconds
      maxRetries
      maxTurns
      maxTokens
      maxCostUsd
    }
    interaction {
      questions
      approvals
      waitSeconds
      defaultAnswer
      defaultDecision
    }
    runAfter
  }
  result {
    success
    output
    publication
    commitSha
    commitUrl
    branch
    filesChanged {
      path
      previousPath
      status
      additions
      deletions
    }
    durationMs
    artifacts {
      id
      name
      contentType
      sizeBytes
      sha256
    }
    sessionId
  }
  callbacks {
    id
    url
    status
  }
  questions(state: OPEN) {
    ...QuestionFields
  }
  messages {
    ...MessageFields
  }
}
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}
fragment UsageFields on Usage {
  inputTokens
  outputTokens
  cacheReadTokens
  cacheWriteTokens
  costUsd
  turns
}
fragment MessageFields on BuildMessage {
  id
  mode
  text
  state
  deliveredAs
  sentBy
  sentAt
  deliveredAt
}
fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}`, {"fragmentName":"BuildDetail"}) as unknown as TypedDocumentString<BuildDetailFragment, unknown>;
export const ProjectRowFragmentDoc = new TypedDocumentString(`
    fragment ProjectRow on Project {
  id
  slug
  name
  status
  repositoryUrl
  defaultBranch
  template
  createdAt
}
    `, {"fragmentName":"ProjectRow"}) as unknown as TypedDocumentString<ProjectRowFragment, unknown>;
export const TokenRowFragmentDoc = new TypedDocumentString(`
    fragment TokenRow on ApiToken {
  id
  name
  scopes
  projectIds
  createdBy
  createdAt
  expiresAt
  revokedAt
  lastUsedAt
  rotatedAt
  previousUntil
}
    `, {"fragmentName":"TokenRow"}) as unknown as TypedDocumentString<TokenRowFragment, unknown>;
export const AuditRowFragmentDoc = new TypedDocumentString(`
    fragment AuditRow on AuditEntry {
  id
  at
  actor
  actorName
  action
  subjectType
  subjectId
  project {
    id
    slug
  }
  detail
}
    `, {"fragmentName":"AuditRow"}) as unknown as TypedDocumentString<AuditRowFragment, unknown>;
export const QueueFiguresFieldsFragmentDoc = new TypedDocumentString(`
    fragment QueueFiguresFields on QueueFigures {
  waiting
  scheduled
  running
  oldestQueuedAt
  throughputPerMinute
  waitP50Ms
  waitP95Ms
}
    `, {"fragmentName":"QueueFiguresFields"}) as unknown as TypedDocumentString<QueueFiguresFieldsFragment, unknown>;
export const QueueNowFragmentDoc = new TypedDocumentString(`
    fragment QueueNow on QueueStats {
  ...QueueFiguresFields
  workersOnline
  byReason {
    code
    count
  }
}
    fragment QueueFiguresFields on QueueFigures {
  waiting
  scheduled
  running
  oldestQueuedAt
  throughputPerMinute
  waitP50Ms
  waitP95Ms
}`, {"fragmentName":"QueueNow"}) as unknown as TypedDocumentString<QueueNowFragment, unknown>;
export const CredentialRowFragmentDoc = new TypedDocumentString(`
    fragment CredentialRow on Credential {
  name
  kind
  target
  baseUrl
  previousUntil
  keyId
  createdAt
  updatedAt
  lastUsedAt
}
    `, {"fragmentName":"CredentialRow"}) as unknown as TypedDocumentString<CredentialRowFragment, unknown>;
export const QueueSettingsFieldsFragmentDoc = new TypedDocumentString(`
    fragment QueueSettingsFields on QueueSettings {
  pausedAt
  pausedBy
  maxRunning
}
    `, {"fragmentName":"QueueSettingsFields"}) as unknown as TypedDocumentString<QueueSettingsFieldsFragment, unknown>;
export const ProjectQueueFieldsFragmentDoc = new TypedDocumentString(`
    fragment ProjectQueueFields on Project {
  id
  slug
  pausedAt
  pausedBy
  settings {
    queue {
      maxRunning
      maxRunningPerKey
      weight
    }
  }
  concurrencyKeys {
    name
    maxRunning
    running
  }
}
    `, {"fragmentName":"ProjectQueueFields"}) as unknown as TypedDocumentString<ProjectQueueFieldsFragment, unknown>;
export const WorkerRowFragmentDoc = new TypedDocumentString(`
    fragment WorkerRow on Worker {
  id
  name
  status
  version
  capacity
  running
  labels
  remote
  startedAt
  lastHeartbeatAt
  cordonedAt
  cordonedBy
  drainUntil
  evictedAt
}
    `, {"fragmentName":"WorkerRow"}) as unknown as TypedDocumentString<WorkerRowFragment, unknown>;
export const EnrolmentRowFragmentDoc = new TypedDocumentString(`
    fragment EnrolmentRow on EnrolmentToken {
  id
  name
  state
  labels
  projectIds
  createdBy
  createdAt
  expiresAt
  usedAt
  workerName
  apiTokenId
}
    `, {"fragmentName":"EnrolmentRow"}) as unknown as TypedDocumentString<EnrolmentRowFragment, unknown>;
export const TaskRowFragmentDoc = new TypedDocumentString(`
    fragment TaskRow on Task {
  id
  type
  status
  project {
    slug
  }
  attempt
  priority
  claimedBy
  readyAt
  createdAt
  startedAt
  finishedAt
  failure {
    reason
    retryable
  }
}
    `, {"fragmentName":"TaskRow"}) as unknown as TypedDocumentString<TaskRowFragment, unknown>;
export const DeliveryRowFragmentDoc = new TypedDocumentString(`
    fragment DeliveryRow on CallbackDelivery {
  id
  messageId
  url
  status
}
    `, {"fragmentName":"DeliveryRow"}) as unknown as TypedDocumentString<DeliveryRowFragment, unknown>;
export const TaskTypeRowFragmentDoc = new TypedDocumentString(`
    fragment TaskTypeRow on TaskType {
  name
  project {
    slug
  }
  schema
  updatedAt
}
    `, {"fragmentName":"TaskTypeRow"}) as unknown as TypedDocumentString<TaskTypeRowFragment, unknown>;
export const ScheduleFieldsFragmentDoc = new TypedDocumentString(`
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}
    `, {"fragmentName":"ScheduleFields"}) as unknown as TypedDocumentString<ScheduleFieldsFragment, unknown>;
export const FindProjectDocument = new TypedDocumentString(`
    query FindProject($id: ID, $slug: String) {
  project(id: $id, slug: $slug) {
    ...ProjectRow
  }
}
    fragment ProjectRow on Project {
  id
  slug
  name
  status
  repositoryUrl
  defaultBranch
  template
  createdAt
}`) as unknown as TypedDocumentString<FindProjectQuery, FindProjectQueryVariables>;
export const FindBuildByNumberDocument = new TypedDocumentString(`
    query FindBuildByNumber($projectId: ID!, $number: Int!) {
  builds(first: 1, filter: { projectId: $projectId, number: $number }) {
    nodes {
      id
    }
  }
}
    `) as unknown as TypedDocumentString<FindBuildByNumberQuery, FindBuildByNumberQueryVariables>;
export const ListProjectsDocument = new TypedDocumentString(`
    query ListProjects($first: Int!, $filter: ProjectFilter) {
  projects(first: $first, filter: $filter) {
    nodes {
      ...ProjectRow
    }
  }
}
    fragment ProjectRow on Project {
  id
  slug
  name
  status
  repositoryUrl
  defaultBranch
  template
  createdAt
}`) as unknown as TypedDocumentString<ListProjectsQuery, ListProjectsQueryVariables>;
export const ListBuildsDocument = new TypedDocumentString(`
    query ListBuilds($first: Int!, $filter: BuildFilter) {
  builds(first: $first, filter: $filter) {
    nodes {
      ...BuildRow
    }
  }
}
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}`) as unknown as TypedDocumentString<ListBuildsQuery, ListBuildsQueryVariables>;
export const ShowBuildDocument = new TypedDocumentString(`
    query ShowBuild($id: ID!) {
  build(id: $id) {
    ...BuildDetail
  }
}
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}
fragment UsageFields on Usage {
  inputTokens
  outputTokens
  cacheReadTokens
  cacheWriteTokens
  costUsd
  turns
}
fragment MessageFields on BuildMessage {
  id
  mode
  text
  state
  deliveredAs
  sentBy
  sentAt
  deliveredAt
}
fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}
fragment BuildDetail on Build {
  ...BuildRow
  waitingFor
  resumeAt
  waitingReason {
    code
    message
  }
  queuePosition
  estimatedStartAt
  source
  priority
  queuedMs
  requestedBy
  attempt
  retryOf {
    id
  }
  cancelRequestedAt
  cancelReason
  supersededBy {
    id
  }
  idempotencyKey
  lastEventCursor
  failure {
    reason
    phase
    message
    retryable
    remedy
  }
  usage {
    ...UsageFields
  }
  spec {
    prompt
    template
    variables {
      name
      value
    }
    autoCommit
    autoPush
    callbackUrl
    provider
    model
    branch
    labels {
      key
      value
    }
    concurrencyKey
    runsOn
    limits {
      wallSeconds
      silenceSeconds
      lingerSeconds
      maxRetries
      maxTurns
      maxTokens
      maxCostUsd
    }
    interaction {
      questions
      approvals
      waitSeconds
      defaultAnswer
      defaultDecision
    }
    runAfter
  }
  result {
    success
    output
    publication
    commitSha
    commitUrl
    branch
    filesChanged {
      path
      previousPath
      status
      additions
      deletions
    }
    durationMs
    artifacts {
      id
      name
      contentType
      sizeBytes
      sha256
    }
    sessionId
  }
  callbacks {
    id
    url
    status
  }
  questions(state: OPEN) {
    ...QuestionFields
  }
  messages {
    ...MessageFields
  }
}`) as unknown as TypedDocumentString<ShowBuildQuery, ShowBuildQueryVariables>;
export const FindQuestionDocument = new TypedDocumentString(`
    query FindQuestion($id: ID!) {
  node(id: $id) {
    __typename
    ... on BuildQuestion {
      ...QuestionFields
    }
  }
}
    fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}`) as unknown as TypedDocumentString<FindQuestionQuery, FindQuestionQueryVariables>;
export const LogEndDocument = new TypedDocumentString(`
    query LogEnd($id: ID!) {
  build(id: $id) {
    log(first: 0) {
      totalCount
    }
  }
}
    `) as unknown as TypedDocumentString<LogEndQuery, LogEndQueryVariables>;
export const ListTokensDocument = new TypedDocumentString(`
    query ListTokens($first: Int!, $includeRevoked: Boolean!) {
  apiTokens(first: $first, includeRevoked: $includeRevoked) {
    nodes {
      ...TokenRow
    }
  }
}
    fragment TokenRow on ApiToken {
  id
  name
  scopes
  projectIds
  createdBy
  createdAt
  expiresAt
  revokedAt
  lastUsedAt
  rotatedAt
  previousUntil
}`) as unknown as TypedDocumentString<ListTokensQuery, ListTokensQueryVariables>;
export const ListAuditDocument = new TypedDocumentString(`
    query ListAudit($first: Int!, $filter: AuditLogFilter) {
  auditLog(first: $first, filter: $filter) {
    nodes {
      ...AuditRow
    }
  }
}
    fragment AuditRow on AuditEntry {
  id
  at
  actor
  actorName
  action
  subjectType
  subjectId
  project {
    id
    slug
  }
  detail
}`) as unknown as TypedDocumentString<ListAuditQuery, ListAuditQueryVariables>;
export const ShowQueueDocument = new TypedDocumentString(`
    query ShowQueue($filter: QueueStatsFilter, $first: Int!) {
  queueStats(filter: $filter) {
    ...QueueNow
    byProject(first: $first) {
      projectId
      project {
        slug
      }
      ...QueueFiguresFields
    }
    byProvider(first: $first) {
      provider
      ...QueueFiguresFields
    }
  }
}
    fragment QueueFiguresFields on QueueFigures {
  waiting
  scheduled
  running
  oldestQueuedAt
  throughputPerMinute
  waitP50Ms
  waitP95Ms
}
fragment QueueNow on QueueStats {
  ...QueueFiguresFields
  workersOnline
  byReason {
    code
    count
  }
}`) as unknown as TypedDocumentString<ShowQueueQuery, ShowQueueQueryVariables>;
export const ShowQueueSettingsDocument = new TypedDocumentString(`
    query ShowQueueSettings {
  queue {
    ...QueueSettingsFields
  }
}
    fragment QueueSettingsFields on QueueSettings {
  pausedAt
  pausedBy
  maxRunning
}`) as unknown as TypedDocumentString<ShowQueueSettingsQuery, ShowQueueSettingsQueryVariables>;
export const WatchQueueDocument = new TypedDocumentString(`
    subscription WatchQueue($projectId: ID) {
  queueActivity(projectId: $projectId) {
    ...QueueNow
  }
}
    fragment QueueFiguresFields on QueueFigures {
  waiting
  scheduled
  running
  oldestQueuedAt
  throughputPerMinute
  waitP50Ms
  waitP95Ms
}
fragment QueueNow on QueueStats {
  ...QueueFiguresFields
  workersOnline
  byReason {
    code
    count
  }
}`) as unknown as TypedDocumentString<WatchQueueSubscription, WatchQueueSubscriptionVariables>;
export const WaitOfBuildDocument = new TypedDocumentString(`
    query WaitOfBuild($id: ID!) {
  build(id: $id) {
    status
    queuePosition
    estimatedStartAt
    waitingReason {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<WaitOfBuildQuery, WaitOfBuildQueryVariables>;
export const ListAgentsDocument = new TypedDocumentString(`
    query ListAgents {
  agents {
    name
    capabilities {
      resume
      cost
      models
      messages
      questions
      permissions
    }
    workers {
      worker {
        id
        name
      }
      available
      version
      hasKey
      reason
      remedy
    }
    drift {
      version
      name
      count
      firstSeenAt
      lastSeenAt
    }
  }
}
    `) as unknown as TypedDocumentString<ListAgentsQuery, ListAgentsQueryVariables>;
export const BuildEndDocument = new TypedDocumentString(`
    query BuildEnd($id: ID!) {
  build(id: $id) {
    status
    lastEventCursor
  }
}
    `) as unknown as TypedDocumentString<BuildEndQuery, BuildEndQueryVariables>;
export const CreateProjectDocument = new TypedDocumentString(`
    mutation CreateProject($input: ProjectInput!) {
  createProject(input: $input) {
    __typename
    ... on CreateProjectPayload {
      project {
        ...ProjectRow
      }
      callbackSecret
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment ProjectRow on Project {
  id
  slug
  name
  status
  repositoryUrl
  defaultBranch
  template
  createdAt
}`) as unknown as TypedDocumentString<CreateProjectMutation, CreateProjectMutationVariables>;
export const StartBuildDocument = new TypedDocumentString(`
    mutation StartBuild($input: StartBuildInput!) {
  startBuild(input: $input) {
    __typename
    ... on StartBuildPayload {
      build {
        ...BuildRow
      }
      deduplicated
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}`) as unknown as TypedDocumentString<StartBuildMutation, StartBuildMutationVariables>;
export const CancelBuildDocument = new TypedDocumentString(`
    mutation CancelBuild($input: CancelBuildInput!) {
  cancelBuild(input: $input) {
    __typename
    ... on CancelBuildPayload {
      build {
        ...BuildRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}`) as unknown as TypedDocumentString<CancelBuildMutation, CancelBuildMutationVariables>;
export const RetryBuildDocument = new TypedDocumentString(`
    mutation RetryBuild($input: RetryBuildInput!) {
  retryBuild(input: $input) {
    __typename
    ... on RetryBuildPayload {
      build {
        ...BuildRow
      }
      deduplicated
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}`) as unknown as TypedDocumentString<RetryBuildMutation, RetryBuildMutationVariables>;
export const SendBuildMessageDocument = new TypedDocumentString(`
    mutation SendBuildMessage($input: SendBuildMessageInput!) {
  sendBuildMessage(input: $input) {
    __typename
    ... on SendBuildMessagePayload {
      buildMessage {
        ...MessageFields
      }
      deduplicated
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment MessageFields on BuildMessage {
  id
  mode
  text
  state
  deliveredAs
  sentBy
  sentAt
  deliveredAt
}`) as unknown as TypedDocumentString<SendBuildMessageMutation, SendBuildMessageMutationVariables>;
export const AnswerBuildQuestionDocument = new TypedDocumentString(`
    mutation AnswerBuildQuestion($input: AnswerBuildQuestionInput!) {
  answerBuildQuestion(input: $input) {
    __typename
    ... on AnswerBuildQuestionPayload {
      question {
        ...QuestionFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}`) as unknown as TypedDocumentString<AnswerBuildQuestionMutation, AnswerBuildQuestionMutationVariables>;
export const ApproveBuildDocument = new TypedDocumentString(`
    mutation ApproveBuild($input: ApproveBuildInput!) {
  approveBuild(input: $input) {
    __typename
    ... on ApproveBuildPayload {
      question {
        ...QuestionFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}`) as unknown as TypedDocumentString<ApproveBuildMutation, ApproveBuildMutationVariables>;
export const RejectBuildDocument = new TypedDocumentString(`
    mutation RejectBuild($input: RejectBuildInput!) {
  rejectBuild(input: $input) {
    __typename
    ... on RejectBuildPayload {
      question {
        ...QuestionFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}`) as unknown as TypedDocumentString<RejectBuildMutation, RejectBuildMutationVariables>;
export const CreateTokenDocument = new TypedDocumentString(`
    mutation CreateToken($input: CreateApiTokenInput!) {
  createApiToken(input: $input) {
    __typename
    ... on CreateApiTokenPayload {
      id
      token
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    `) as unknown as TypedDocumentString<CreateTokenMutation, CreateTokenMutationVariables>;
export const RotateTokenDocument = new TypedDocumentString(`
    mutation RotateToken($input: RotateApiTokenInput!) {
  rotateApiToken(input: $input) {
    __typename
    ... on RotateApiTokenPayload {
      token
      apiToken {
        ...TokenRow
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment TokenRow on ApiToken {
  id
  name
  scopes
  projectIds
  createdBy
  createdAt
  expiresAt
  revokedAt
  lastUsedAt
  rotatedAt
  previousUntil
}`) as unknown as TypedDocumentString<RotateTokenMutation, RotateTokenMutationVariables>;
export const RevokeTokenDocument = new TypedDocumentString(`
    mutation RevokeToken($input: RevokeApiTokenInput!) {
  revokeApiToken(input: $input) {
    __typename
    ... on RevokeApiTokenPayload {
      apiToken {
        id
        name
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<RevokeTokenMutation, RevokeTokenMutationVariables>;
export const WatchBuildDocument = new TypedDocumentString(`
    subscription WatchBuild($buildId: ID!, $after: String) {
  buildProgress(buildId: $buildId, after: $after) {
    __typename
    cursor
    type
    at
    attempt
    ... on BuildQueued {
      runAfter
    }
    ... on BuildStarted {
      workerName
    }
    ... on BuildPhaseChanged {
      from
      to
    }
    ... on BuildProgressed {
      message
    }
    ... on AgentStarted {
      provider
      model
      agentVersion
    }
    ... on AgentActivity {
      content {
        __typename
        ... on AgentMessage {
          text
        }
        ... on AgentThought {
          text
        }
        ... on AgentToolCall {
          callId
          tool
          input
        }
        ... on AgentToolResult {
          callId
          status
          output
          truncated
        }
        ... on AgentRetry {
          reason
          message
        }
      }
    }
    ... on UsageUpdated {
      usage {
        ...UsageFields
      }
    }
    ... on BuildWarning {
      message
    }
    ... on GitCommitted {
      sha
      message
      filesChanged
    }
    ... on GitPushed {
      sha
      ref
    }
    ... on ArtifactCreated {
      name
      sizeBytes
    }
    ... on BuildMessageSent {
      messageId
      mode
      text
      sentBy
    }
    ... on BuildMessageDelivered {
      messageId
      deliveredAs
    }
    ... on BuildQuestionAsked {
      questionId
      expiresAt
      question {
        ...QuestionFields
      }
    }
    ... on BuildQuestionClosed {
      questionId
      state
      closedBy
    }
    ... on CancelRequested {
      cancelReason: reason
      requestedBy
    }
    ... on BuildRetryScheduled {
      retryReason: reason
      message
      resumeAt
    }
    ... on BuildFinished {
      status
      failureReason: reason
      failureMessage: message
    }
  }
}
    fragment UsageFields on Usage {
  inputTokens
  outputTokens
  cacheReadTokens
  cacheWriteTokens
  costUsd
  turns
}
fragment QuestionFields on BuildQuestion {
  id
  kind
  questions {
    question
    header
    options {
      label
      description
    }
    multiple
  }
  tool
  input
  description
  state
  answers
  allowed
  note
  askedAt
  expiresAt
  closedAt
  closedBy
}`) as unknown as TypedDocumentString<WatchBuildSubscription, WatchBuildSubscriptionVariables>;
export const WatchLogDocument = new TypedDocumentString(`
    subscription WatchLog($buildId: ID!, $after: String) {
  buildLog(buildId: $buildId, after: $after) {
    cursor
    lines {
      number
      at
      stream
      text
    }
    finished
  }
}
    `) as unknown as TypedDocumentString<WatchLogSubscription, WatchLogSubscriptionVariables>;
export const ListCredentialsDocument = new TypedDocumentString(`
    query ListCredentials {
  credentials {
    ...CredentialRow
  }
}
    fragment CredentialRow on Credential {
  name
  kind
  target
  baseUrl
  previousUntil
  keyId
  createdAt
  updatedAt
  lastUsedAt
}`) as unknown as TypedDocumentString<ListCredentialsQuery, ListCredentialsQueryVariables>;
export const ListProjectCredentialsDocument = new TypedDocumentString(`
    query ListProjectCredentials($id: ID!) {
  project(id: $id) {
    credentials {
      ...CredentialRow
    }
  }
}
    fragment CredentialRow on Credential {
  name
  kind
  target
  baseUrl
  previousUntil
  keyId
  createdAt
  updatedAt
  lastUsedAt
}`) as unknown as TypedDocumentString<ListProjectCredentialsQuery, ListProjectCredentialsQueryVariables>;
export const SetCredentialDocument = new TypedDocumentString(`
    mutation SetCredential($input: SetCredentialInput!) {
  setCredential(input: $input) {
    __typename
    ... on SetCredentialPayload {
      credential {
        ...CredentialRow
      }
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment CredentialRow on Credential {
  name
  kind
  target
  baseUrl
  previousUntil
  keyId
  createdAt
  updatedAt
  lastUsedAt
}`) as unknown as TypedDocumentString<SetCredentialMutation, SetCredentialMutationVariables>;
export const DeleteCredentialDocument = new TypedDocumentString(`
    mutation DeleteCredential($input: DeleteCredentialInput!) {
  deleteCredential(input: $input) {
    __typename
    ... on DeleteCredentialPayload {
      credential {
        ...CredentialRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment CredentialRow on Credential {
  name
  kind
  target
  baseUrl
  previousUntil
  keyId
  createdAt
  updatedAt
  lastUsedAt
}`) as unknown as TypedDocumentString<DeleteCredentialMutation, DeleteCredentialMutationVariables>;
export const UpdateProjectDocument = new TypedDocumentString(`
    mutation UpdateProject($input: UpdateProjectInput!) {
  updateProject(input: $input) {
    __typename
    ... on UpdateProjectPayload {
      project {
        ...ProjectQueueFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment ProjectQueueFields on Project {
  id
  slug
  pausedAt
  pausedBy
  settings {
    queue {
      maxRunning
      maxRunningPerKey
      weight
    }
  }
  concurrencyKeys {
    name
    maxRunning
    running
  }
}`) as unknown as TypedDocumentString<UpdateProjectMutation, UpdateProjectMutationVariables>;
export const PauseProjectDocument = new TypedDocumentString(`
    mutation PauseProject($input: PauseProjectInput!) {
  pauseProject(input: $input) {
    __typename
    ... on PauseProjectPayload {
      project {
        ...ProjectQueueFields
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment ProjectQueueFields on Project {
  id
  slug
  pausedAt
  pausedBy
  settings {
    queue {
      maxRunning
      maxRunningPerKey
      weight
    }
  }
  concurrencyKeys {
    name
    maxRunning
    running
  }
}`) as unknown as TypedDocumentString<PauseProjectMutation, PauseProjectMutationVariables>;
export const ResumeProjectDocument = new TypedDocumentString(`
    mutation ResumeProject($input: ResumeProjectInput!) {
  resumeProject(input: $input) {
    __typename
    ... on ResumeProjectPayload {
      project {
        ...ProjectQueueFields
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment ProjectQueueFields on Project {
  id
  slug
  pausedAt
  pausedBy
  settings {
    queue {
      maxRunning
      maxRunningPerKey
      weight
    }
  }
  concurrencyKeys {
    name
    maxRunning
    running
  }
}`) as unknown as TypedDocumentString<ResumeProjectMutation, ResumeProjectMutationVariables>;
export const SetKeyLimitDocument = new TypedDocumentString(`
    mutation SetKeyLimit($input: SetKeyLimitInput!) {
  setKeyLimit(input: $input) {
    __typename
    ... on SetKeyLimitPayload {
      project {
        ...ProjectQueueFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment ProjectQueueFields on Project {
  id
  slug
  pausedAt
  pausedBy
  settings {
    queue {
      maxRunning
      maxRunningPerKey
      weight
    }
  }
  concurrencyKeys {
    name
    maxRunning
    running
  }
}`) as unknown as TypedDocumentString<SetKeyLimitMutation, SetKeyLimitMutationVariables>;
export const UpdateQueueDocument = new TypedDocumentString(`
    mutation UpdateQueue($input: UpdateQueueInput!) {
  updateQueue(input: $input) {
    __typename
    ... on UpdateQueuePayload {
      queue {
        ...QueueSettingsFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment QueueSettingsFields on QueueSettings {
  pausedAt
  pausedBy
  maxRunning
}`) as unknown as TypedDocumentString<UpdateQueueMutation, UpdateQueueMutationVariables>;
export const SetBuildPriorityDocument = new TypedDocumentString(`
    mutation SetBuildPriority($input: SetBuildPriorityInput!) {
  setBuildPriority(input: $input) {
    __typename
    ... on SetBuildPriorityPayload {
      build {
        ...BuildRow
        priority
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment BuildRow on Build {
  id
  number
  project {
    id
    slug
  }
  status
  phase
  spec {
    provider
    branch
  }
  createdAt
  startedAt
  finishedAt
  durationMs
  result {
    commitSha
  }
}`) as unknown as TypedDocumentString<SetBuildPriorityMutation, SetBuildPriorityMutationVariables>;
export const SetCredentialLimitDocument = new TypedDocumentString(`
    mutation SetCredentialLimit($input: SetCredentialLimitInput!) {
  setCredentialLimit(input: $input) {
    __typename
    ... on SetCredentialLimitPayload {
      credential {
        ...CredentialRow
        maxRunning
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment CredentialRow on Credential {
  name
  kind
  target
  baseUrl
  previousUntil
  keyId
  createdAt
  updatedAt
  lastUsedAt
}`) as unknown as TypedDocumentString<SetCredentialLimitMutation, SetCredentialLimitMutationVariables>;
export const ListWorkersDocument = new TypedDocumentString(`
    query ListWorkers($first: Int!, $filter: WorkerFilter) {
  workers(first: $first, filter: $filter) {
    nodes {
      ...WorkerRow
    }
  }
}
    fragment WorkerRow on Worker {
  id
  name
  status
  version
  capacity
  running
  labels
  remote
  startedAt
  lastHeartbeatAt
  cordonedAt
  cordonedBy
  drainUntil
  evictedAt
}`) as unknown as TypedDocumentString<ListWorkersQuery, ListWorkersQueryVariables>;
export const ShowWorkerDocument = new TypedDocumentString(`
    query ShowWorker($id: ID!, $first: Int!) {
  worker(id: $id) {
    ...WorkerRow
    hardware {
      cpus
      memoryBytes
      platform
      arch
    }
    history(first: $first) {
      nodes {
        attemptNo
        startedAt
        endedAt
        durationMs
        outcome
        build {
          id
          number
          project {
            slug
          }
        }
      }
    }
  }
}
    fragment WorkerRow on Worker {
  id
  name
  status
  version
  capacity
  running
  labels
  remote
  startedAt
  lastHeartbeatAt
  cordonedAt
  cordonedBy
  drainUntil
  evictedAt
}`) as unknown as TypedDocumentString<ShowWorkerQuery, ShowWorkerQueryVariables>;
export const CordonWorkerDocument = new TypedDocumentString(`
    mutation CordonWorker($input: CordonWorkerInput!) {
  cordonWorker(input: $input) {
    __typename
    ... on CordonWorkerPayload {
      worker {
        ...WorkerRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment WorkerRow on Worker {
  id
  name
  status
  version
  capacity
  running
  labels
  remote
  startedAt
  lastHeartbeatAt
  cordonedAt
  cordonedBy
  drainUntil
  evictedAt
}`) as unknown as TypedDocumentString<CordonWorkerMutation, CordonWorkerMutationVariables>;
export const UncordonWorkerDocument = new TypedDocumentString(`
    mutation UncordonWorker($input: UncordonWorkerInput!) {
  uncordonWorker(input: $input) {
    __typename
    ... on UncordonWorkerPayload {
      worker {
        ...WorkerRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment WorkerRow on Worker {
  id
  name
  status
  version
  capacity
  running
  labels
  remote
  startedAt
  lastHeartbeatAt
  cordonedAt
  cordonedBy
  drainUntil
  evictedAt
}`) as unknown as TypedDocumentString<UncordonWorkerMutation, UncordonWorkerMutationVariables>;
export const DrainWorkerDocument = new TypedDocumentString(`
    mutation DrainWorker($input: DrainWorkerInput!) {
  drainWorker(input: $input) {
    __typename
    ... on DrainWorkerPayload {
      worker {
        ...WorkerRow
      }
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment WorkerRow on Worker {
  id
  name
  status
  version
  capacity
  running
  labels
  remote
  startedAt
  lastHeartbeatAt
  cordonedAt
  cordonedBy
  drainUntil
  evictedAt
}`) as unknown as TypedDocumentString<DrainWorkerMutation, DrainWorkerMutationVariables>;
export const EvictWorkerDocument = new TypedDocumentString(`
    mutation EvictWorker($input: EvictWorkerInput!) {
  evictWorker(input: $input) {
    __typename
    ... on EvictWorkerPayload {
      worker {
        ...WorkerRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment WorkerRow on Worker {
  id
  name
  status
  version
  capacity
  running
  labels
  remote
  startedAt
  lastHeartbeatAt
  cordonedAt
  cordonedBy
  drainUntil
  evictedAt
}`) as unknown as TypedDocumentString<EvictWorkerMutation, EvictWorkerMutationVariables>;
export const CreateEnrolmentTokenDocument = new TypedDocumentString(`
    mutation CreateEnrolmentToken($input: CreateEnrolmentTokenInput!) {
  createEnrolmentToken(input: $input) {
    __typename
    ... on CreateEnrolmentTokenPayload {
      token
      enrolmentToken {
        id
        expiresAt
      }
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<CreateEnrolmentTokenMutation, CreateEnrolmentTokenMutationVariables>;
export const ListEnrolmentsDocument = new TypedDocumentString(`
    query ListEnrolments($first: Int!, $onlyOpen: Boolean!) {
  enrolmentTokens(first: $first, onlyOpen: $onlyOpen) {
    nodes {
      ...EnrolmentRow
    }
  }
}
    fragment EnrolmentRow on EnrolmentToken {
  id
  name
  state
  labels
  projectIds
  createdBy
  createdAt
  expiresAt
  usedAt
  workerName
  apiTokenId
}`) as unknown as TypedDocumentString<ListEnrolmentsQuery, ListEnrolmentsQueryVariables>;
export const RevokeEnrolmentDocument = new TypedDocumentString(`
    mutation RevokeEnrolment($input: RevokeEnrolmentTokenInput!) {
  revokeEnrolmentToken(input: $input) {
    __typename
    ... on RevokeEnrolmentTokenPayload {
      enrolmentToken {
        ...EnrolmentRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment EnrolmentRow on EnrolmentToken {
  id
  name
  state
  labels
  projectIds
  createdBy
  createdAt
  expiresAt
  usedAt
  workerName
  apiTokenId
}`) as unknown as TypedDocumentString<RevokeEnrolmentMutation, RevokeEnrolmentMutationVariables>;
export const EnqueueTaskDocument = new TypedDocumentString(`
    mutation EnqueueTask($input: EnqueueTaskInput!) {
  enqueueTask(input: $input) {
    __typename
    ... on EnqueueTaskPayload {
      deduplicated
      task {
        ...TaskRow
      }
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment TaskRow on Task {
  id
  type
  status
  project {
    slug
  }
  attempt
  priority
  claimedBy
  readyAt
  createdAt
  startedAt
  finishedAt
  failure {
    reason
    retryable
  }
}`) as unknown as TypedDocumentString<EnqueueTaskMutation, EnqueueTaskMutationVariables>;
export const ListTasksDocument = new TypedDocumentString(`
    query ListTasks($first: Int!, $filter: TaskFilter!) {
  tasks(first: $first, filter: $filter) {
    nodes {
      ...TaskRow
    }
  }
}
    fragment TaskRow on Task {
  id
  type
  status
  project {
    slug
  }
  attempt
  priority
  claimedBy
  readyAt
  createdAt
  startedAt
  finishedAt
  failure {
    reason
    retryable
  }
}`) as unknown as TypedDocumentString<ListTasksQuery, ListTasksQueryVariables>;
export const ShowTaskDocument = new TypedDocumentString(`
    query ShowTask($id: ID!) {
  task(id: $id) {
    ...TaskRow
    payload
    result
    progress
    failures
    runsOn
    concurrencyKey
    waitingReason {
      code
      message
    }
    leaseUntil
    cancelRequestedAt
    cancelReason
    labels {
      key
      value
    }
    events(last: 1) {
      nodes {
        cursor
      }
    }
  }
}
    fragment TaskRow on Task {
  id
  type
  status
  project {
    slug
  }
  attempt
  priority
  claimedBy
  readyAt
  createdAt
  startedAt
  finishedAt
  failure {
    reason
    retryable
  }
}`) as unknown as TypedDocumentString<ShowTaskQuery, ShowTaskQueryVariables>;
export const CancelTaskDocument = new TypedDocumentString(`
    mutation CancelTask($input: CancelTaskInput!) {
  cancelTask(input: $input) {
    __typename
    ... on CancelTaskPayload {
      task {
        ...TaskRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment TaskRow on Task {
  id
  type
  status
  project {
    slug
  }
  attempt
  priority
  claimedBy
  readyAt
  createdAt
  startedAt
  finishedAt
  failure {
    reason
    retryable
  }
}`) as unknown as TypedDocumentString<CancelTaskMutation, CancelTaskMutationVariables>;
export const RequeueTaskDocument = new TypedDocumentString(`
    mutation RequeueTask($input: RequeueTaskInput!) {
  requeueTask(input: $input) {
    __typename
    ... on RequeueTaskPayload {
      task {
        ...TaskRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment TaskRow on Task {
  id
  type
  status
  project {
    slug
  }
  attempt
  priority
  claimedBy
  readyAt
  createdAt
  startedAt
  finishedAt
  failure {
    reason
    retryable
  }
}`) as unknown as TypedDocumentString<RequeueTaskMutation, RequeueTaskMutationVariables>;
export const RedeliverTaskCallbackDocument = new TypedDocumentString(`
    mutation RedeliverTaskCallback($input: RedeliverTaskCallbackInput!) {
  redeliverTaskCallback(input: $input) {
    __typename
    ... on RedeliverTaskCallbackPayload {
      delivery {
        ...DeliveryRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment DeliveryRow on CallbackDelivery {
  id
  messageId
  url
  status
}`) as unknown as TypedDocumentString<RedeliverTaskCallbackMutation, RedeliverTaskCallbackMutationVariables>;
export const RedeliverCallbackDocument = new TypedDocumentString(`
    mutation RedeliverCallback($input: RedeliverCallbackInput!) {
  redeliverCallback(input: $input) {
    __typename
    ... on RedeliverCallbackPayload {
      delivery {
        ...DeliveryRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment DeliveryRow on CallbackDelivery {
  id
  messageId
  url
  status
}`) as unknown as TypedDocumentString<RedeliverCallbackMutation, RedeliverCallbackMutationVariables>;
export const ShowTaskStatsDocument = new TypedDocumentString(`
    query ShowTaskStats($projectId: ID, $type: String) {
  taskStats(projectId: $projectId, type: $type) {
    waiting
    delayed
    running
    dead
    oldestReadyAt
    throughputPerMinute
    waitP50Ms
    waitP95Ms
  }
}
    `) as unknown as TypedDocumentString<ShowTaskStatsQuery, ShowTaskStatsQueryVariables>;
export const WatchTaskDocument = new TypedDocumentString(`
    subscription WatchTask($taskId: ID!, $after: String) {
  taskProgress(taskId: $taskId, after: $after) {
    cursor
    type
    at
    attempt
    data
  }
}
    `) as unknown as TypedDocumentString<WatchTaskSubscription, WatchTaskSubscriptionVariables>;
export const ClaimTaskDocument = new TypedDocumentString(`
    mutation ClaimTask($input: ClaimTaskInput!) {
  claimTask(input: $input) {
    __typename
    ... on ClaimTaskPayload {
      claim {
        leaseToken
        task {
          id
          type
          attempt
          leaseSeconds
          payload
        }
      }
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<ClaimTaskMutation, ClaimTaskMutationVariables>;
export const HeartbeatTaskDocument = new TypedDocumentString(`
    mutation HeartbeatTask($input: HeartbeatTaskInput!) {
  heartbeatTask(input: $input) {
    __typename
    ... on HeartbeatTaskPayload {
      cancelRequested
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<HeartbeatTaskMutation, HeartbeatTaskMutationVariables>;
export const CompleteTaskDocument = new TypedDocumentString(`
    mutation CompleteTask($input: CompleteTaskInput!) {
  completeTask(input: $input) {
    __typename
    ... on CompleteTaskPayload {
      task {
        status
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<CompleteTaskMutation, CompleteTaskMutationVariables>;
export const FailTaskDocument = new TypedDocumentString(`
    mutation FailTask($input: FailTaskInput!) {
  failTask(input: $input) {
    __typename
    ... on FailTaskPayload {
      task {
        status
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<FailTaskMutation, FailTaskMutationVariables>;
export const ReleaseTaskDocument = new TypedDocumentString(`
    mutation ReleaseTask($input: ReleaseTaskInput!) {
  releaseTask(input: $input) {
    __typename
    ... on ReleaseTaskPayload {
      task {
        status
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<ReleaseTaskMutation, ReleaseTaskMutationVariables>;
export const ListTaskTypesDocument = new TypedDocumentString(`
    query ListTaskTypes($projectId: ID) {
  taskTypes(projectId: $projectId) {
    ...TaskTypeRow
  }
}
    fragment TaskTypeRow on TaskType {
  name
  project {
    slug
  }
  schema
  updatedAt
}`) as unknown as TypedDocumentString<ListTaskTypesQuery, ListTaskTypesQueryVariables>;
export const SetTaskTypeDocument = new TypedDocumentString(`
    mutation SetTaskType($input: SetTaskTypeInput!) {
  setTaskType(input: $input) {
    __typename
    ... on SetTaskTypePayload {
      taskType {
        ...TaskTypeRow
      }
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment TaskTypeRow on TaskType {
  name
  project {
    slug
  }
  schema
  updatedAt
}`) as unknown as TypedDocumentString<SetTaskTypeMutation, SetTaskTypeMutationVariables>;
export const DeleteTaskTypeDocument = new TypedDocumentString(`
    mutation DeleteTaskType($input: DeleteTaskTypeInput!) {
  deleteTaskType(input: $input) {
    __typename
    ... on DeleteTaskTypePayload {
      taskType {
        ...TaskTypeRow
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment TaskTypeRow on TaskType {
  name
  project {
    slug
  }
  schema
  updatedAt
}`) as unknown as TypedDocumentString<DeleteTaskTypeMutation, DeleteTaskTypeMutationVariables>;
export const CancelBuildsDocument = new TypedDocumentString(`
    mutation CancelBuilds($input: CancelBuildsInput!) {
  cancelBuilds(input: $input) {
    __typename
    ... on CancelBuildsPayload {
      dryRun
      matched
      changed
      ids
      skipped {
        id
        code
        message
      }
      hasMore
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    `) as unknown as TypedDocumentString<CancelBuildsMutation, CancelBuildsMutationVariables>;
export const RetryBuildsDocument = new TypedDocumentString(`
    mutation RetryBuilds($input: RetryBuildsInput!) {
  retryBuilds(input: $input) {
    __typename
    ... on RetryBuildsPayload {
      dryRun
      matched
      changed
      ids
      startedIds
      skipped {
        id
        code
        message
      }
      hasMore
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    `) as unknown as TypedDocumentString<RetryBuildsMutation, RetryBuildsMutationVariables>;
export const ListSchedulesDocument = new TypedDocumentString(`
    query ListSchedules($projectId: ID!, $after: String) {
  project(id: $projectId) {
    schedules(first: 50, after: $after) {
      nodes {
        ...ScheduleFields
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}`) as unknown as TypedDocumentString<ListSchedulesQuery, ListSchedulesQueryVariables>;
export const ShowNextRunsDocument = new TypedDocumentString(`
    query ShowNextRuns($id: ID!, $first: Int!) {
  schedule(id: $id) {
    ...ScheduleFields
    nextRuns(first: $first)
  }
}
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}`) as unknown as TypedDocumentString<ShowNextRunsQuery, ShowNextRunsQueryVariables>;
export const CreateScheduleDocument = new TypedDocumentString(`
    mutation CreateSchedule($input: CreateScheduleInput!) {
  createSchedule(input: $input) {
    __typename
    ... on CreateSchedulePayload {
      schedule {
        ...ScheduleFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}`) as unknown as TypedDocumentString<CreateScheduleMutation, CreateScheduleMutationVariables>;
export const UpdateScheduleDocument = new TypedDocumentString(`
    mutation UpdateSchedule($input: UpdateScheduleInput!) {
  updateSchedule(input: $input) {
    __typename
    ... on UpdateSchedulePayload {
      schedule {
        ...ScheduleFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}`) as unknown as TypedDocumentString<UpdateScheduleMutation, UpdateScheduleMutationVariables>;
export const PauseScheduleDocument = new TypedDocumentString(`
    mutation PauseSchedule($input: PauseScheduleInput!) {
  pauseSchedule(input: $input) {
    __typename
    ... on PauseSchedulePayload {
      schedule {
        ...ScheduleFields
      }
    }
    ... on UserError {
      code
      message
    }
    ... on InvalidInputError {
      issues {
        path
        message
      }
    }
  }
}
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}`) as unknown as TypedDocumentString<PauseScheduleMutation, PauseScheduleMutationVariables>;
export const ResumeScheduleDocument = new TypedDocumentString(`
    mutation ResumeSchedule($input: ResumeScheduleInput!) {
  resumeSchedule(input: $input) {
    __typename
    ... on ResumeSchedulePayload {
      schedule {
        ...ScheduleFields
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}`) as unknown as TypedDocumentString<ResumeScheduleMutation, ResumeScheduleMutationVariables>;
export const DeleteScheduleDocument = new TypedDocumentString(`
    mutation DeleteSchedule($input: DeleteScheduleInput!) {
  deleteSchedule(input: $input) {
    __typename
    ... on DeleteSchedulePayload {
      schedule {
        ...ScheduleFields
      }
    }
    ... on UserError {
      code
      message
    }
  }
}
    fragment ScheduleFields on Schedule {
  id
  name
  project {
    id
    slug
  }
  cron
  timeZone
  spec
  overlap
  catchUp
  catchUpSeconds
  paused
  pausedReason
  nextRunAt
  lastRunAt
  lastBuild {
    id
    number
    status
  }
  lastSkippedAt
  lastSkippedReason
  lastError
}`) as unknown as TypedDocumentString<DeleteScheduleMutation, DeleteScheduleMutationVariables>;