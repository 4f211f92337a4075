import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/*
 * RunPod's side towards its containers as it is on a bad day: slow, refusing, cutting connections, handing a job out anew whose
 * container was silent. What a container must never do is written down in `wrongs`.
 */
export interface PlatformJob {
  readonly id: string;
  readonly input: Readonly<Record<string, unknown>>;
  state: "queued" | "held" | "ended";
  container: string | null;
  /** How often it was handed out. */
  takes: number;
  seenAtMs: number;
  isStopped: boolean;
  /** Its container was killed: should it be handed out to nobody else, nobody can report its end to the app. */
  isOrphaned: boolean;
  chunks: string[];
  /** What was posted at its end; null for one that was stopped. */
  end: Readonly<Record<string, unknown>> | null;
}

export interface PlatformOptions {
  readonly random: () => number;
  /** Silence of a container after which its jobs are handed out anew. */
  readonly silentMs: number;
  /** Of requests, how many meet a fault: 0 to 1. */
  faults: number;
}

const holdMs = 3000;

export class HostilePlatform {
  readonly jobs = new Map<string, PlatformJob>();
  readonly wrongs: string[] = [];
  readonly counts = { takes: 0, faults: 0, anew: 0, stops: 0, lateEnds: 0, progress: 0, chunks: 0 };
  readonly #options: PlatformOptions;
  readonly #stops = new Map<string, Set<string>>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  readonly #sweep = setInterval(() => this.#handOutAnew(), 500);

  constructor(options: PlatformOptions) {
    this.#options = options;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v2/lakes`;
  }

  close(): void {
    clearInterval(this.#sweep);
    this.#server.close();
    this.#server.closeAllConnections();
  }

  add(id: string, input: Readonly<Record<string, unknown>>): void {
    const fresh = {
      state: "queued",
      container: null,
      takes: 0,
      seenAtMs: 0,
      isStopped: false,
      isOrphaned: false,
      end: null,
    } as const;
    this.jobs.set(id, { id, input, ...fresh, chunks: [] });
  }

  /** A user cancels it. */
  stop(id: string): void {
    const job = this.jobs.get(id);
    if (job?.state !== "held" || job.container === null) return;
    Object.assign(job, { state: "ended", isStopped: true });
    this.counts.stops++;
    this.#stops.set(job.container, (this.#stops.get(job.container) ?? new Set()).add(id));
  }

  killed(container: string): void {
    for (const job of this.jobs.values()) {
      if (job.container === container && (job.state === "held" || job.isStopped)) job.isOrphaned = true;
    }
  }

  get open(): readonly PlatformJob[] {
    return [...this.jobs.values()].filter(({ state }) => state !== "ended");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const part of request) text += part;
    const { pathname, searchParams } = new URL(request.url ?? "", "http://host");
    const [operation = "", container = "", id = ""] = pathname.split("/").slice(3).map(decodeURIComponent);
    if (operation === "ping") this.#ping(container, searchParams.get("job_id")?.split(",") ?? []);
    if (operation !== "ping" && (await this.#failed(operation, response))) return;
    if (operation.startsWith("job-take"))
      await this.#take(container, Number(searchParams.get("batch_size") ?? 0), response);
    else if (operation === "job-stop") await this.#stopped(container, response);
    else if (operation === "job-done") response.writeHead(this.#done(container, id, JSON.parse(text))).end();
    else if (operation === "job-stream") response.writeHead(this.#chunk(container, id, JSON.parse(text).output)).end();
    else response.end();
  }

  /** Faults come before anything has happened here: what has happened and is not answered is repeated by right. */
  async #failed(operation: string, response: ServerResponse): Promise<boolean> {
    const { random, faults } = this.#options;
    await pause(random() * random() * 200);
    if (random() >= faults) return false;
    this.counts.faults++;
    const kind = Math.floor(random() * 8);
    if (kind === 0) response.destroy();
    else if (kind === 1) response.writeHead(429).end();
    else if (kind === 2) response.writeHead(302, { location: "/sign-in" }).end();
    else if (kind === 3) {
      await pause(3000);
      response.destroy();
    } else if (kind === 4 && operation.startsWith("job-take")) response.writeHead(400).end();
    else if (kind === 5 && operation.startsWith("job-take")) response.end("<html>sign in</html>");
    else response.writeHead(500 + Math.floor(random() * 4)).end();
    return true;
  }

  async #take(container: string, size: number, response: ServerResponse): Promise<void> {
    const untilMs = performance.now() + holdMs;
    const next = () => [...this.jobs.values()].filter(({ state }) => state === "queued").slice(0, Math.max(1, size));
    while (next().length === 0 && performance.now() < untilMs && !response.destroyed) await pause(20);
    if (response.destroyed) return;
    const taken = next();
    for (const job of taken) {
      if (job.takes > 0) job.chunks = [];
      const takes = job.takes + 1;
      Object.assign(job, { state: "held", container, takes, seenAtMs: performance.now(), isOrphaned: false });
      this.counts.takes++;
    }
    const shown = taken.map(({ id, input }) => ({ id, input }));
    if (shown.length === 0) response.writeHead(204).end();
    else response.setHeader("content-type", "application/json").end(JSON.stringify(size > 0 ? shown : shown[0]));
  }

  async #stopped(container: string, response: ServerResponse): Promise<void> {
    const untilMs = performance.now() + holdMs;
    while (!this.#stops.has(container) && performance.now() < untilMs && !response.destroyed) await pause(20);
    const jobsToStop = [...(this.#stops.get(container) ?? [])];
    if (response.destroyed) return;
    this.#stops.delete(container);
    if (jobsToStop.length === 0) response.writeHead(204).end();
    else response.setHeader("content-type", "application/json").end(JSON.stringify({ jobsToStop }));
  }

  #done(container: string, id: string, body: Readonly<Record<string, unknown>>): number {
    const job = this.jobs.get(id);
    if (job === undefined) return 404;
    const isProgress = body.status === "IN_PROGRESS";
    if (isProgress) this.counts.progress++;
    if (job.state === "ended") {
      if (isProgress && !job.isStopped && job.container === container)
        this.wrongs.push(`${id}: progress after its end`);
      if (!isProgress) this.counts.lateEnds++;
      return 200;
    }
    if (isProgress) return 200;
    Object.assign(job, { state: "ended", container, end: body });
    return 200;
  }

  #chunk(container: string, id: string, chunk: unknown): number {
    const job = this.jobs.get(id);
    if (job === undefined) return 404;
    this.counts.chunks++;
    if (job.state === "ended" && !job.isStopped && job.container === container)
      this.wrongs.push(`${id}: text after its end`);
    if (job.container === container) job.chunks.push(String(chunk));
    return 200;
  }

  #ping(container: string, ids: readonly string[]): void {
    for (const id of ids) {
      const job = this.jobs.get(id);
      if (job?.container === container) job.seenAtMs = performance.now();
    }
  }

  #handOutAnew(): void {
    const beforeMs = performance.now() - this.#options.silentMs;
    for (const job of this.jobs.values()) {
      if (job.state !== "held" || job.seenAtMs > beforeMs) continue;
      job.state = "queued";
      this.counts.anew++;
    }
  }
}
