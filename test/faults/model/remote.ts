/** One branch of a remote repository that many push to, as git has it: a push names where the branch must stand. */
export interface RemoteCommit {
  readonly sha: string;
  readonly build: number;
}

export class Remote {
  readonly commits: RemoteCommit[] = [];

  get tip(): string | null {
    return this.commits.at(-1)?.sha ?? null;
  }

  has(sha: string): boolean {
    return this.commits.some((commit) => commit.sha === sha);
  }

  /** Does nothing if the branch stands elsewhere. */
  push(commit: RemoteCommit, expected: string | null): void {
    if (this.tip === expected) this.commits.push(commit);
  }
}
