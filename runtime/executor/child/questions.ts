/** What was asked of the other process and is not answered yet. */
export class Questions<Answer> {
  readonly #open = new Map<number, PromiseWithResolvers<Answer>>();
  #asked = 0;

  ask(): { readonly requestId: number; readonly answer: Promise<Answer> } {
    const requestId = ++this.#asked;
    const question = Promise.withResolvers<Answer>();
    this.#open.set(requestId, question);
    return { requestId, answer: question.promise };
  }

  answer(requestId: number, answer: Answer): void {
    this.#take(requestId)?.resolve(answer);
  }

  refuse(requestId: number, error: Error): void {
    this.#take(requestId)?.reject(error);
  }

  #take(requestId: number): PromiseWithResolvers<Answer> | undefined {
    const question = this.#open.get(requestId);
    this.#open.delete(requestId);
    return question;
  }
}
