import { z } from "zod";
import type { ErrorCode, ErrorReport } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { isOfCall } from "#runtime/calls/of-call.ts";
import type { AttemptEnd } from "#runtime/executor/parent/task-slot.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { type ConditionKey, type Conditions, keyOf, type Watched } from "./conditions.ts";
import { FailureStreak, type Verdict } from "./failure-streak.ts";
import type { ModelWatch } from "./model-watch.ts";
import type { Quarantine } from "./quarantine.ts";

/** What kind of end an attempt had, as far as it says something of its worker. */
export interface AttemptReport {
  /** Of a job, or of a call. */
  readonly lease: Pick<Lease, "jobId" | "job">;
  readonly worker: string;
  readonly end: AttemptEnd;
}

export interface AttemptFindingsOptions {
  readonly registry: Registry;
  readonly log: Logger;
  readonly conditions: Conditions;
  readonly quarantine: Quarantine;
  readonly models: Pick<ModelWatch, "folderOf">;
  workers(): Iterable<string>;
  versionOf(subject: Pick<Watched, "kind" | "name">): string | undefined;
  /** The worker's process must not be used any more. */
  restart(worker: string): void;
}

/** What the worker's process has, whatever it runs; a new one looks whether it is there again. */
const ofWholeWorker: ReadonlySet<ErrorCode> = new Set(["DEVICE_LOST", "ENGINE_UNAVAILABLE"]);

const namesModel = z.object({ model: z.string() });

/** What attempts find out about their container: each finding becomes a condition, or ends one. */
export class AttemptFindings {
  readonly #options: AttemptFindingsOptions;
  readonly #streaks = new Map<string, FailureStreak>();

  constructor(options: AttemptFindingsOptions) {
    this.#options = options;
  }

  /** An attempt has found what keeps this container from running its job. */
  onCondition(error: ErrorReport, lease: Pick<Lease, "job">, { worker, model }: Handler): void {
    const { conditions, workers, restart } = this.#options;
    if (error.code === "DISK_FULL") {
      // One disk for all workers.
      for (const each of workers()) conditions.found({ worker: each, kind: "worker", subject: each }, error);
    } else if (error.code === "FFMPEG_MISSING") {
      // One ffmpeg for all that make videos.
      for (const each of this.#withoutFfmpeg(lease.job.type)) {
        const key = { worker: each.worker, kind: "type", subject: each.type } as const;
        conditions.found(key, error, this.#watched("handler", each.type));
      }
    } else {
      const { key, watched } = this.#subjectOf(error, lease, worker, model);
      conditions.found(key, error, watched);
    }
    if (ofWholeWorker.has(error.code)) restart(worker);
  }

  /** Returns whether a condition came or went: most ends say nothing that was not known. */
  onAttemptEnd({ lease, worker, end }: AttemptReport): boolean {
    const streak = this.#streaks.get(worker) ?? new FailureStreak();
    this.#streaks.set(worker, streak);
    if (end.kind === "completed") {
      streak.succeeded();
      this.#options.quarantine.completed(lease.job);
      const madeVideo = end.assets.some(({ type }) => type === "video");
      const hasFfmpeg = madeVideo && this.#ffmpegIsThere();
      return this.#overcome(lease, worker) || hasFfmpeg;
    }
    const error = causeOf(end);
    if (error === null || !FailureStreak.counts(error)) return false;
    const { conditions, restart } = this.#options;
    if (error.code === "DEVICE_FAULT") restart(worker);
    const self: ConditionKey = { worker, kind: "worker", subject: worker };
    const ofType: ConditionKey = { worker, kind: "type", subject: lease.job.type };
    const probed = [self, ofType].find((key) => this.#isProbed(key));
    const verdict = streak.failed(lease, error);
    const wasQuarantined = this.#options.quarantine.has(lease.job);
    const isUsers = this.#quarantined(lease, error, verdict);
    if (probed !== undefined && wasQuarantined) conditions.foundNothingNew(probed, error);
    else if (probed !== undefined) conditions.found(probed, error);
    else if (verdict !== null && !isUsers) conditions.found(verdict.type === null ? self : ofType, verdict.error);
    return true;
  }

  /** Handlers here whose jobs need ffmpeg, and the one that has found it missing. */
  #withoutFfmpeg(finder: string): Handler[] {
    const workers = new Set(this.#options.workers());
    const needs = ({ type, produces }: Handler) => produces === "video" || type === finder;
    return this.#options.registry.all().filter((handler) => workers.has(handler.worker) && needs(handler));
  }

  #ffmpegIsThere(): boolean {
    const { conditions } = this.#options;
    const gone = conditions.all().filter(({ error }) => error.code === "FFMPEG_MISSING");
    return gone.map((condition) => conditions.overcome(condition)).length > 0;
  }

  /** A crash costs everybody a start of the executor, so that the first one counts. Returns whether it is a matter of the user alone. */
  #quarantined({ job }: Pick<Lease, "job">, error: ErrorReport, verdict: Verdict | null): boolean {
    const { quarantine, log } = this.#options;
    if (error.code !== "EXECUTOR_CRASHED" && !quarantine.has(job) && verdict?.userId !== job.user_id) return false;
    if (!quarantine.failed(job, verdict?.error ?? error)) return false;
    const { user_id, type } = job;
    log.warn(
      { user_id, type, error: verdict?.error ?? error },
      "jobs of this user and type let others' go first for a while",
    );
    return verdict?.userId === user_id;
  }

  #overcome({ job }: Pick<Lease, "job">, worker: string): boolean {
    const { conditions, models, registry } = this.#options;
    const model = job.model_variant ?? registry.get(job.type)?.model;
    const keys: ConditionKey[] = [
      { worker, kind: "worker", subject: worker },
      { worker, kind: "type", subject: job.type },
      ...(model === undefined ? [] : [{ worker, kind: "model" as const, subject: models.folderOf(model) }]),
    ];
    return keys.filter((key) => conditions.overcome(key)).length > 0;
  }

  #isProbed(key: ConditionKey): boolean {
    return this.#options.conditions.all().some((each) => keyOf(each) === keyOf(key) && each.state === "probing");
  }

  #subjectOf(
    error: ErrorReport,
    { job }: Pick<Lease, "job">,
    worker: string,
    ownModel: string | undefined,
  ): { readonly key: ConditionKey; readonly watched: Watched | null } {
    const { models } = this.#options;
    const type = { worker, kind: "type", subject: job.type } as const;
    if (ofWholeWorker.has(error.code)) return { key: { worker, kind: "worker", subject: worker }, watched: null };
    const requested = job.model_variant ?? ownModel;
    const model = namesModel.safeParse(error.details).data?.model ?? requested;
    if (!error.code.startsWith("MODEL_") || model === undefined)
      return { key: type, watched: this.#watched("handler", job.type) };
    const folder = models.folderOf(model);
    const watched = this.#watched("model", folder);
    // A model that the handler asks for beside the one that the offer names is its own matter.
    if (requested === undefined || folder !== models.folderOf(requested)) return { key: type, watched };
    return { key: { worker, kind: "model", subject: folder }, watched };
  }

  #watched(kind: Watched["kind"], name: string): Watched {
    return { kind, name, version: this.#options.versionOf({ kind, name }) };
  }
}

/** What a failed attempt says of its worker: a job that was refused for good by its handler says nothing. */
function causeOf(end: AttemptEnd): ErrorReport | null {
  if (end.kind === "crashed") {
    const { exitCode, signal } = end.evidence;
    return { code: "EXECUTOR_CRASHED", message: `The executor died (${signal ?? `exit code ${exitCode}`}).` };
  }
  // What a call failed of was found of the called worker.
  if (end.kind !== "failed" || isOfCall(end.error)) return null;
  return end.retry === "never" && end.error.code === "HANDLER_FAILED" ? null : end.error;
}
