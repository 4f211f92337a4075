import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/* The platform as a container sees it, played by the test: what is requested of it is written down, what it answers is scripted. */

export interface Heard {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  /** Undefined for what is no JSON. */
  readonly body: unknown;
}

/** A status, "cut" for a connection that is cut instead of an answer, or a status with a body. */
export type Scripted = number | "cut" | { readonly status: number; readonly type: string; readonly text: string };

interface SlowTake {
  readonly text: string;
  begun(): void;
  readonly ended: Promise<void>;
}

export class RunpodServer {
  /** All requests but takes, in the order in which they came. */
  readonly heard: Heard[] = [];
  readonly takes: Heard[] = [];
  /** The next answers to takes, before jobs. */
  readonly takeAnswers: Scripted[] = [];
  /** The next answers to what is posted. */
  readonly postAnswers: Scripted[] = [];
  /** How long each post is worked on before it is written down. */
  postDelayMs: () => number = () => 0;
  openTakes = 0;
  #slow: SlowTake | null = null;
  readonly #jobs: unknown[] = [];
  readonly #stops: string[] = [];
  readonly #waits = new Set<() => void>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  url = "";

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v2/lakes`;
    return this;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  give(...jobs: unknown[]): void {
    this.#jobs.push(...jobs);
    this.#wake();
  }

  stop(...ids: string[]): void {
    this.#stops.push(...ids);
    this.#wake();
  }

  /** Answers the next take in two parts: `begun` resolves when the container has received of it, `end` sends the rest. */
  slowTake(text: string): { readonly begun: Promise<void>; end(): void } {
    const [begun, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.#slow = { text, begun: begun.resolve, ended: ended.promise };
    return { begun: begun.promise, end: ended.resolve };
  }

  /** What was posted of a job, oldest first: `job-done`, `job-stream`. */
  posts(jobId: string): readonly Heard[] {
    return this.heard.filter(({ method, url }) => method === "POST" && url.includes(`/${jobId}`));
  }

  bodies(jobId: string): readonly unknown[] {
    return this.posts(jobId).map(({ body }) => body);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const part of request) text += part;
    const { method = "", url = "", headers } = request;
    const heard = { method, url, headers, text, body: parsed(text) };
    if (url.includes("/job-take")) return await this.#take(heard, response);
    if (url.includes("/job-stop")) return await this.#stopped(response);
    if (method === "POST") await pause(this.postDelayMs());
    this.heard.push(heard);
    end(response, (method === "POST" ? this.postAnswers.shift() : undefined) ?? 200);
  }

  async #take(heard: Heard, response: ServerResponse): Promise<void> {
    this.takes.push(heard);
    const scripted = this.takeAnswers.shift();
    if (scripted !== undefined) return end(response, scripted);
    if (this.#slow !== null) return await this.#takeSlowly(response, this.#slow);
    this.openTakes++;
    await this.#until(response, () => this.#jobs.length > 0);
    this.openTakes--;
    if (response.destroyed) return;
    const size = Number(/batch_size=(\d+)/.exec(heard.url)?.[1] ?? 0);
    const jobs = this.#jobs.splice(0, Math.max(1, size));
    end(response, { status: 200, type: "application/json", text: JSON.stringify(size > 0 ? jobs : jobs[0]) });
  }

  async #takeSlowly(response: ServerResponse, { text, begun, ended }: SlowTake) {
    this.#slow = null;
    response.writeHead(200, { "content-type": "application/json" });
    // More than the sockets hold between the two: it is through when the other side reads.
    response.write(" ".repeat(32 * 1024 * 1024), begun);
    await ended;
    response.end(text);
  }

  async #stopped(response: ServerResponse): Promise<void> {
    await this.#until(response, () => this.#stops.length > 0);
    if (response.destroyed) return;
    const text = JSON.stringify({ jobsToStop: this.#stops.splice(0) });
    end(response, { status: 200, type: "application/json", text });
  }

  async #until(response: ServerResponse, isSo: () => boolean): Promise<void> {
    while (!isSo() && !response.destroyed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waits.add(resolve);
      response.once("close", resolve);
      await promise;
      response.off("close", resolve);
      this.#waits.delete(resolve);
    }
  }

  #wake(): void {
    for (const end of this.#waits) end();
  }
}

function end(response: ServerResponse, answer: Scripted): void {
  if (answer === "cut") response.destroy();
  else if (typeof answer === "number") response.writeHead(answer).end();
  else response.writeHead(answer.status, { "content-type": answer.type }).end(answer.text);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
