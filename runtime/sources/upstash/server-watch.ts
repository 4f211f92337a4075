import { randomUUID } from "node:crypto";
import type { Logger } from "#runtime/observe/log.ts";
import type { SourceProblem } from "../source-definition.ts";
import type { RestClient } from "./rest-client.ts";
import { evictionIn, infoField, readInfo } from "./server-info.ts";

/** One command each time. */
const lookEveryMs = 120_000;
/** While a refused write says that the database is full: until one succeeds, no caller is sent here. */
const roomEveryMs = 15_000;
/** By then whoever watches has seen it, and nothing can be done about it here. */
const lossShownMs = 3_600_000;

export interface ServerWatchOptions {
  readonly client: RestClient;
  /** A key whose absence says that the server has lost its data. */
  readonly markerKey: string;
  readonly log: Logger | undefined;
}

/**
 * Looks how the queue's server is set up while a container runs: it may be started anew with another configuration or
 * without its data, be reconfigured, or fill up, and what is lost by that leaves no other trace. A server that does not
 * answer says nothing, and what was found before stays.
 */
export class ServerWatch {
  readonly #options: ServerWatchOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  #eviction: SourceProblem | null = null;
  #loss: SourceProblem | null = null;
  #marker: string | null = null;
  #run: string | null = null;

  constructor(options: ServerWatchOptions) {
    this.#options = options;
  }

  /** What loses jobs, or has lost them. */
  get problems(): SourceProblem[] {
    const loss = this.#loss !== null && Date.now() - this.#loss.sinceMs < lossShownMs ? this.#loss : null;
    return [this.#eviction, loss].filter((problem) => problem !== null);
  }

  /** Whether the server throws away what is on its queues. */
  get evicts(): boolean {
    return this.#eviction !== null;
  }

  /** Looks now, and from then on until `close`. */
  start(): void {
    void this.#seeMarker();
    void this.look();
    this.#timers.push(setInterval(() => void this.look(), lookEveryMs).unref());
    this.#timers.push(setInterval(() => void this.#tryRoom(), roomEveryMs).unref());
  }

  /** The server answers again: it may be another one. Nothing before `start`. */
  serverIsBack(): void {
    if (this.#timers.length === 0) return;
    // Its run is a new one, and need not be noticed again.
    this.#run = null;
    void this.#seeMarker();
    void this.look();
  }

  /** Never rejects. */
  async look(): Promise<void> {
    const info = await readInfo(this.#options.client);
    if (info === null) return;
    const run = infoField(info, "run_id");
    if (this.#run !== null && run !== this.#run) void this.#seeMarker();
    this.#run = run;
    const found = evictionIn(info);
    if (found?.message === this.#eviction?.message) return;
    this.#eviction = found === null ? null : { ...found, sinceMs: Date.now() };
    if (found !== null) this.#options.log?.error({}, found.message);
  }

  close(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** Whichever container finds it gone makes another one: each of the others sees that it is not the one it knew. */
  async #seeMarker(): Promise<void> {
    const { client, markerKey, log } = this.#options;
    const seen = await client
      .command("marker", ["SET", markerKey, randomUUID(), "NX"])
      .then(() => client.command("marker", ["GET", markerKey]))
      .catch(() => null);
    if (typeof seen !== "string") return;
    const isLost = this.#marker !== null && seen !== this.#marker;
    this.#marker = seen;
    if (!isLost) return;
    this.#loss = {
      code: "QUEUE_DATA_LOST",
      summary: "The queue's Redis came back without its data: jobs that waited there are gone.",
      message:
        "The queue's Redis came back without its data: what waited there is gone and has to be enqueued again. Let Redis persist (appendonly yes) on a disk that stays.",
      sinceMs: Date.now(),
    };
    log?.error({}, this.#loss.message);
  }

  /** A write that a full database refuses, which changes nothing. */
  async #tryRoom(): Promise<void> {
    const { client, markerKey } = this.#options;
    if (client.trouble?.code !== "QUEUE_FULL") return;
    const write = client.command("marker", ["SETRANGE", markerKey, "0", ""]);
    await write.then(() => client.hasRoom()).catch(() => undefined);
  }
}
