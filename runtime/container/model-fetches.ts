import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { ErrorReport } from "#contract/errors.ts";
import type { PullReport, PullTask } from "#runtime/hub/pull-thread.ts";
import { readRecord } from "#runtime/hub/pulled-record.ts";
import type { WantedModel } from "#runtime/hub/repository.ts";
import { retryDelaySeconds } from "#runtime/lib/backoff.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Config } from "./config.ts";

/*
 * Fetches the models of MODELS that are missing, beside everything else. Of each:
 *
 *   fetching ──whole, under its name──► (there)
 *     ▲  │
 *     │  └──failed──► failed ─┐
 *     └── after a pause ◄─────┘      10 s, doubled with each failure, up to 5 min
 */
export interface ModelFetchesOptions {
  readonly config: Pick<Config, "hub" | "modelsFolder" | "modelMemoryBytes" | "wantedModels">;
  readonly log: Logger;
  /** One has come, or has failed. */
  onChange(): void;
}

/** A model that is not there yet. */
export interface ModelFetch {
  readonly name: string;
  readonly repo: string;
  readonly hereBytes: number;
  /** 0 until it is known. */
  readonly totalBytes: number;
  /** Of the last try; null while the first one, or a later one that gets on, is under way. */
  readonly failure: { readonly error: ErrorReport; readonly sinceMs: number } | null;
}

const retrySeconds = { base: 10, max: 300 };
const stopLimitMs = 3000;
const logEveryMs = 30_000;

export class ModelFetches {
  readonly #options: ModelFetchesOptions;
  readonly #pending = new Map<string, ModelFetch>();
  readonly #threads = new Map<string, Worker>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #stopped = false;

  constructor(options: ModelFetchesOptions) {
    this.#options = options;
  }

  /** Begins with what is missing; resolves when it is known what that is. */
  async start(): Promise<void> {
    const { config, log } = this.#options;
    for (const model of config.wantedModels) {
      const path = join(config.modelsFolder, model.name);
      const isThere = await stat(path).then(
        () => true,
        () => false,
      );
      if (!isThere) {
        const { name, repo } = model;
        this.#pending.set(name, { name, repo, hereBytes: 0, totalBytes: 0, failure: null });
        this.#fetch(model, 1);
        continue;
      }
      const record = await readRecord(path);
      if (record?.repo !== model.repo)
        log.warn(
          { model: model.name, wanted: model.repo },
          "a model of MODELS is there, but was not fetched from there",
        );
    }
  }

  /** By name: what is not there yet. */
  get pending(): ReadonlyMap<string, ModelFetch> {
    return this.#pending;
  }

  /** Breaks off what is under way; the next start goes on with it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const threads = [...this.#threads.values()];
    const ends = threads.map((thread) => new Promise<void>((resolve) => thread.once("exit", () => resolve())));
    for (const thread of threads) thread.postMessage("stop");
    await within(stopLimitMs, Promise.all(ends));
    await Promise.all([...this.#threads.values()].map((thread) => thread.terminate()));
  }

  #fetch(wanted: WantedModel, attempt: number): void {
    const { config, log } = this.#options;
    const { name, repo } = wanted;
    const { hub, modelsFolder, modelMemoryBytes } = config;
    const workerData: PullTask = { hub, modelsFolder, modelMemoryBytes, wanted };
    const thread = new Worker(new URL("../hub/pull-thread.ts", import.meta.url), { workerData });
    this.#threads.set(name, thread);
    log.info({ model: name, repo, attempt }, "fetching a model");
    let end: PullReport | undefined;
    let loggedAtMs = performance.now();
    thread.on("message", (report: PullReport) => {
      if (report.kind === "pulled" || report.kind === "failed") {
        end = report;
        return;
      }
      this.#progress(name, report);
      if (performance.now() - loggedAtMs < logEveryMs) return;
      loggedAtMs = performance.now();
      log.info({ model: name, progress: fetchText(this.#pending.get(name)) }, "fetching a model");
    });
    thread.on("error", (error) => {
      end = {
        kind: "failed",
        error: { code: "INTERNAL", message: `The thread that fetches ${name} died: ${error.message}` },
      };
    });
    thread.once("exit", () => {
      this.#threads.delete(name);
      if (this.#stopped) return;
      this.#ended(
        wanted,
        attempt,
        end ?? { kind: "failed", error: { code: "INTERNAL", message: `The thread that fetches ${name} died.` } },
      );
    });
  }

  #progress(
    name: string,
    { hereBytes, totalBytes }: { readonly hereBytes: number; readonly totalBytes: number },
  ): void {
    const known = this.#pending.get(name);
    if (known === undefined) return;
    // A failure counts until the next try gets on.
    const failure = hereBytes > known.hereBytes ? null : known.failure;
    this.#pending.set(name, { ...known, hereBytes, totalBytes, failure });
  }

  #ended(wanted: WantedModel, attempt: number, end: PullReport): void {
    const { log, onChange } = this.#options;
    const { name, repo } = wanted;
    const known = this.#pending.get(name);
    if (end.kind === "pulled") {
      log.info({ model: name, repo, commit: end.commit }, "a model was fetched");
      this.#pending.delete(name);
    } else if (end.kind === "failed" && known !== undefined) {
      const delaySeconds = retryDelaySeconds(attempt, retrySeconds.base, retrySeconds.max);
      log.error(
        { model: name, repo, error: end.error, delay_seconds: delaySeconds },
        "a model could not be fetched; trying again",
      );
      const sinceMs = known.failure?.sinceMs ?? Date.now();
      this.#pending.set(name, { ...known, failure: { error: end.error, sinceMs } });
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#fetch(wanted, attempt + 1);
      }, delaySeconds * 1000).unref();
      this.#timers.add(timer);
    }
    onChange();
  }
}

/** `34 % of 13.9 GB`, for everybody. */
export function fetchText(fetch: Pick<ModelFetch, "hereBytes" | "totalBytes"> | undefined): string {
  if (fetch === undefined || fetch.totalBytes === 0) return "not begun";
  return `${Math.floor((100 * fetch.hereBytes) / fetch.totalBytes)} % of ${bytes(fetch.totalBytes)}`;
}

/** Why jobs of a model that is not there yet are not taken. Not how far it is: that changes all the time. */
export function fetchReport({ name, repo, failure }: ModelFetch): ErrorReport {
  if (failure === null) return { code: "NOT_READY", message: `The model "${name}" is being fetched from ${repo}.` };
  const { code, message } = failure.error;
  return { code, message: `The model "${name}" could not be fetched, and is tried again. ${message}` };
}
