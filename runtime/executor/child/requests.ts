/** Requests to the other process that are not answered yet. */
export class Requests<Answer> {
  readonly #open = new Map<number, PromiseWithResolvers<Answer>>();
  #count = 0;

  open(): { readonly requestId: number; readonly answer: Promise<Answer> } {
    const requestId = ++this.#count;
    const request = Promise.withResolvers<Answer>();
    this.#open.set(requestId, request);
    return { requestId, answer: request.promise };
  }

  resolve(requestId: number, answer: Answer): void {
    this.#take(requestId)?.resolve(answer);
  }

  reject(requestId: number, error: Error): void {
    this.#take(requestId)?.reject(error);
  }

  #take(requestId: number): PromiseWithResolvers<Answer> | undefined {
    const request = this.#open.get(requestId);
    this.#open.delete(requestId);
    return request;
  }
}
