/** Why a request of a remote worker is refused. */
export class WorkerProblem extends Error {
  override readonly name = 'WorkerProblem';
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}
