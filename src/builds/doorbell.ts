/** Tells whoever runs a build that somebody has told it something. The number is that of the build's row. */
export class Doorbell {
  #rung: number;
  #answer: (() => void) | null = null;

  /** `talkNo`: as it was when the build was claimed. */
  constructor(talkNo: number) {
    this.#rung = talkNo;
  }

  /** As the row has it now: rings when it is more than before. */
  ring(talkNo: number): void {
    if (talkNo <= this.#rung) return;
    this.#rung = talkNo;
    this.#answer?.();
  }

  /** Calls `answer` at every ring, and at once when somebody has rung before: in the life of this build, also. */
  listen(answer: () => void): () => void {
    this.#answer = answer;
    if (this.#rung > 0) answer();
    return () => {
      this.#answer = null;
    };
  }
}
