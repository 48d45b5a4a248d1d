/**
 * Projects as this process has read them, for those who say in their write which version they have read: what has changed
 * since is refused there, and read again. Reads that come together are one.
 */
import { Coalescer } from '../database/coalescer.ts';
import type { Database } from '../database/database.ts';
import { findProjects, type Project } from './project.ts';

const MAX_PROJECTS = 1_000;

export interface ReadProject {
  readonly project: Project;
  /** It was read for this call. */
  readonly isFresh: boolean;
}

export class ProjectCache implements AsyncDisposable {
  readonly #reads: Coalescer<string, Project | null>;
  /** The one that was used last is last. */
  readonly #known = new Map<string, Project>();

  constructor(db: Database) {
    const flush = async (ids: readonly string[]) => {
      const found = new Map((await findProjects(db, [...new Set(ids)])).map((project) => [project.id, project]));
      return ids.map((id) => ({ ok: true, value: found.get(id) ?? null }) as const);
    };
    this.#reads = new Coalescer({ name: 'projects', flush });
  }

  /** As it is known, or as it is now. Null: there is none. */
  async find(id: string): Promise<ReadProject | null> {
    const known = this.#known.get(id);
    if (!known) return this.read(id);
    this.#keep(known);
    return { project: known, isFresh: false };
  }

  /** As it is now. */
  async read(id: string): Promise<ReadProject | null> {
    const project = await this.#reads.add(id);
    if (!project) return null;
    this.#keep(project);
    return { project, isFresh: true };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#reads[Symbol.asyncDispose]();
  }

  #keep(project: Project): void {
    const known = this.#known.get(project.id);
    this.#known.delete(project.id);
    this.#known.set(project.id, known && known.version > project.version ? known : project);
    if (this.#known.size <= MAX_PROJECTS) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}
