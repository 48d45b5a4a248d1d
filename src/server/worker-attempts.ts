/** What a remote worker does with a build that is its own: each request becomes the same numbered entry in Postgres. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { openUploads, type Uploads } from '../artifacts/uploads.ts';
import { seesProject, type Viewer } from '../auth/viewer.ts';
import type { BuildSpec } from '../builds/build-spec.ts';
import { MAX_PACK_BYTES } from '../builds/intended-commit.ts';
import type { EntryType, LedgerEntries, OpenedSecrets } from '../builds/ledger-store.ts';
import { withoutOthers } from '../builds/open-secrets.ts';
import { type LedgerBuild, PostgresLedger } from '../builds/postgres-ledger.ts';
import { SupersededError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { entryInput, type Upload } from '../remote/entry-input.ts';
import { isEntryType, isQuestionName, questionInput } from '../remote/protocol.ts';
import { isDiskLow } from '../std/disk-space.ts';
import { readJson, readPiece } from './worker-body.ts';
import { WorkerProblem } from './worker-problem.ts';

/** Attempts of which this process knows whose they are. */
const MAX_KNOWN = 1_000;

export interface AttemptPath {
  readonly workerId: string;
  readonly buildId: string;
  readonly attemptNo: number;
}

interface Owned {
  readonly build: LedgerBuild;
  readonly tokenId: string | null;
}

export class WorkerAttempts {
  readonly #orchestrator: Orchestrator;
  readonly #uploads: Uploads;
  /** That never changes. */
  readonly #known = new Map<string, Owned>();

  constructor(orchestrator: Orchestrator) {
    this.#orchestrator = orchestrator;
    this.#uploads = openUploads(join(orchestrator.config.dataFolder, 'artifacts'));
  }

  async commit(viewer: Viewer, path: AttemptPath, entry: { number: number; type: string; incoming: IncomingMessage }) {
    const { number, type, incoming } = entry;
    if (!isEntryType(type) || !Number.isSafeInteger(number) || number < 1)
      throw new WorkerProblem(404, 'No such entry.');
    const build = await this.#find(viewer, path);
    const ledger = new PostgresLedger(this.#orchestrator, build);
    if (type === 'PUSH_INTENT') return this.#intend(ledger, build, { number, incoming });
    if (type === 'KEEP_ARTIFACT') return this.#keep(ledger, build, { number, incoming });
    const body = await readJson(incoming, entryInput[type]);
    return ledger.commit<EntryType>(number, type, body as LedgerEntries[EntryType]);
  }

  async lastNumber(viewer: Viewer, path: AttemptPath): Promise<number> {
    return new PostgresLedger(this.#orchestrator, await this.#find(viewer, path)).lastNumber();
  }

  async ask(
    viewer: Viewer,
    path: AttemptPath,
    { question, incoming }: { question: string; incoming: IncomingMessage },
  ) {
    if (!isQuestionName(question)) throw new WorkerProblem(404, 'No such question.');
    const build = await this.#find(viewer, path);
    const asks = await readJson(incoming, questionInput[question]);
    const ledger = new PostgresLedger(this.#orchestrator, build);
    // Of a build that is somebody else's by now, nothing is told: least of all its secrets.
    if (question !== 'reportEnd') await this.#refuseEnded(build);
    const answer = await ledger.ask(question, asks as { variable: string | null; sha: string; workerId: string });
    return question === 'secrets' ? withoutOthers(answer as OpenedSecrets) : answer;
  }

  async upload(viewer: Viewer, path: AttemptPath, piece: { id: string; offset: number; incoming: IncomingMessage }) {
    const build = await this.#find(viewer, path);
    await this.#refuseEnded(build);
    const { dataFolder, minFreeMb } = this.#orchestrator.config;
    if (await isDiskLow(dataFolder, minFreeMb)) throw new WorkerProblem(507, 'The disk of the server is nearly full.');
    const bytes = await readPiece(piece.incoming);
    await this.#uploads.write(uploadName(build, piece.id), { offset: piece.offset, bytes }).catch((error: unknown) => {
      if (error instanceof RangeError) throw new WorkerProblem(413, error.message);
      throw error;
    });
    return null;
  }

  async #intend(ledger: PostgresLedger, build: LedgerBuild, { number, incoming }: NumberedBody) {
    const { commit, pack } = await readJson(incoming, entryInput.PUSH_INTENT);
    if (commit.branch !== build.spec.branch) throw new WorkerProblem(400, 'A build pushes to its own branch.');
    const bytes = pack && (await this.#readPack(build, pack));
    // Whoever has sent it before, and was not answered, has taken it away.
    if (bytes === 'gone' && (await ledger.lastNumber()) !== number) throw lostUpload();
    const allowed = await ledger.commit(number, 'PUSH_INTENT', { commit, pack: bytes === 'gone' ? null : bytes });
    if (pack) await this.#uploads.remove(uploadName(build, pack.id));
    return allowed;
  }

  async #keep(ledger: PostgresLedger, build: LedgerBuild, { number, incoming }: NumberedBody) {
    const { file, content } = await readJson(incoming, entryInput.KEEP_ARTIFACT);
    const name = uploadName(build, content.id);
    const nothing = async function* () {};
    const commit = (bytes: () => AsyncIterable<Uint8Array>) =>
      ledger.commit(number, 'KEEP_ARTIFACT', { file, content: bytes });
    const artifact = await commit(() => checked(this.#uploads.read(name), content)).catch(async (error: unknown) => {
      if (!(error instanceof WorkerProblem) || (await ledger.lastNumber()) !== number) throw error;
      return commit(nothing);
    });
    await this.#uploads.remove(name);
    return artifact;
  }

  async #readPack(build: LedgerBuild, pack: Upload): Promise<Buffer | 'gone'> {
    if (pack.sizeBytes > MAX_PACK_BYTES) throw new WorkerProblem(413, `A pack has at most ${MAX_PACK_BYTES} bytes.`);
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of checked(this.#uploads.read(uploadName(build, pack.id)), pack)) chunks.push(chunk);
      return Buffer.concat(chunks);
    } catch (error) {
      if (error instanceof WorkerProblem) return 'gone';
      throw error;
    }
  }

  /** Throws WorkerProblem where the attempt is not one of a worker that this token speaks for. */
  async #find(viewer: Viewer, { workerId, buildId, attemptNo }: AttemptPath): Promise<LedgerBuild> {
    const key = `${workerId}:${buildId}:${attemptNo}`;
    const owned = this.#known.get(key) ?? (await this.#load({ workerId, buildId, attemptNo }));
    if (!owned || owned.tokenId !== viewer.tokenId || !seesProject(viewer, owned.build.projectId)) {
      throw new WorkerProblem(404, 'There is no such attempt of this worker.');
    }
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(key, owned);
    return owned.build;
  }

  async #load({ workerId, buildId, attemptNo }: AttemptPath): Promise<Owned | null> {
    const row = await this.#orchestrator.db
      .selectFrom('build_attempts as a')
      .innerJoin('build_audit as b', 'b.id', 'a.build_id')
      .innerJoin('workers as w', 'w.id', 'a.worker_id')
      .select(['b.project_id', 'b.spec', 'w.token_id'])
      .where('a.build_id', '=', buildId)
      .where('a.attempt_no', '=', attemptNo)
      .where('a.worker_id', '=', workerId)
      .executeTakeFirst();
    if (!row?.token_id) return null;
    const build = { id: buildId, projectId: row.project_id, attemptNo, workerId, spec: row.spec as BuildSpec };
    return { build, tokenId: row.token_id };
  }

  async #refuseEnded({ id, attemptNo, workerId }: LedgerBuild): Promise<void> {
    const row = await this.#orchestrator.db
      .selectFrom('build_audit')
      .select('id')
      .where('id', '=', id)
      .where('attempt_no', '=', attemptNo)
      .where('worker_id', '=', workerId)
      .where('status', '=', 'RUNNING')
      .executeTakeFirst();
    if (!row) throw superseded(id, attemptNo);
  }
}

interface NumberedBody {
  readonly number: number;
  readonly incoming: IncomingMessage;
}

function superseded(id: string, attemptNo: number) {
  return new SupersededError(`attempt ${attemptNo} of build ${id} is over`);
}

function uploadName({ id }: LedgerBuild, upload: string): string {
  return `${id}.${upload}`;
}

function lostUpload(): WorkerProblem {
  return new WorkerProblem(422, 'What was uploaded is not here, or not whole.');
}

/** Throws at its end when it is not what the worker has sent. */
async function* checked(content: AsyncIterable<Uint8Array>, { sizeBytes, sha256 }: Upload): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (size > sizeBytes) throw lostUpload();
    hash.update(chunk);
    yield chunk;
  }
  if (size !== sizeBytes || hash.digest('hex') !== sha256) throw lostUpload();
}
