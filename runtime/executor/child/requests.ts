/** Requests to the other process that are not answered yet. */
export class Requests<Answer> {
  readonly #open = new Map<number, PromiseWithResolvers<Answer>>();
  #count = 0;

  /** @param send sends the request, whose answer is what the call resolves with */
  open(send: (requestId: number) => void): Promise<Answer> {
    const requestId = ++this.#count;
    const request = Promise.withResolvers<Answer>();
    this.#open.set(requestId, request);
    send(requestId);
    return request.promise;
  }

  resolve(requestId: number, answer: Answer): void {
    this.#take(requestId)?.resolve(answer);
  }

  reject(requestId: number, error: Error): void {
    this.#take(requestId)?.reject(error);
  }

  rejectAll(error: Error): void {
    for (const requestId of [...this.#open.keys()]) this.reject(requestId, error);
  }

  #take(requestId: number): PromiseWithResolvers<Answer> | undefined {
    const request = this.#open.get(requestId);
    this.#open.delete(requestId);
    return request;
  }
}
