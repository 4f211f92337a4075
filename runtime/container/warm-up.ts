import { once } from "node:events";
import { join } from "node:path";
import { checkJob } from "#contract/check-job.ts";
import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { type Job, jobEnvelope } from "#contract/job.ts";
import { findModel } from "#runtime/executor/models.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import type { TaskHooks } from "#runtime/executor/parent/task-slot.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Config } from "./config.ts";
import { removeWork } from "./data-folder.ts";
import type { ModelFetches } from "./model-fetches.ts";

/*
 * Loads the models of WARM_MODELS before the first job is taken, so that none pays for it. A model is loaded by who uses it:
 * a job of a type that needs it is run, with as few steps as that takes, and what it makes is thrown away. What fails here is
 * only logged: the first real job finds it again, and then it is that job's.
 */
export interface WarmUpOptions {
  readonly config: Pick<Config, "warmModels" | "modelsFolder" | "engines">;
  /** A model that is still being fetched is not waited for: all that does not need it may have been ready for long. */
  readonly fetches: Pick<ModelFetches, "pending">;
  readonly registry: Registry;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly workFolder: string;
  readonly log: Logger;
  /** Everything is loaded, or will not be. */
  onDone(): void;
}

/** How long an executor may take to be there. */
const startLimitMs = 120_000;
const prompt = "a red apple on a light blue background";

export class WarmUp {
  readonly #options: WarmUpOptions;
  readonly #stopping = new AbortController();
  #isDone: boolean;

  constructor(options: WarmUpOptions) {
    this.#options = options;
    this.#isDone = options.config.warmModels.length === 0;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** Never rejects. */
  async run(): Promise<void> {
    if (this.#isDone) return;
    const { config, fetches, log, onDone } = this.#options;
    for (const model of config.warmModels) {
      if (fetches.pending.has(model)) {
        log.info({ model }, "a model of WARM_MODELS is still being fetched: its first job loads it");
        continue;
      }
      const startedAtMs = performance.now();
      try {
        await this.#load(model);
        log.info({ model, seconds: (performance.now() - startedAtMs) / 1000 }, "a model is warm");
      } catch (error) {
        if (!this.#stopping.signal.aborted) log.error({ model, error }, "a model of WARM_MODELS could not be loaded");
      }
    }
    this.#isDone = true;
    onDone();
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** @throws what keeps the model from being loaded */
  async #load(model: string): Promise<void> {
    const { executors, workFolder } = this.#options;
    const handler = await this.#handlerOf(model);
    const executor = executors.get(handler.worker);
    if (executor === undefined) throw notUsed(model);
    await untilAvailable(executor, AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(startLimitMs)]));
    const job = warmUpJob(handler, model);
    const folder = join(workFolder, job.id, "1");
    const task = executor.run({ jobId: job.id, attempt: 1, job, workFolder: folder }, hooks);
    const limit = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(handler.retry.timeoutSeconds * 1000)]);
    const stop = () => task.abort("shutdown");
    limit.addEventListener("abort", stop, { once: true });
    const end = await task.ended.finally(() => limit.removeEventListener("abort", stop));
    await removeWork(folder);
    if (end.kind === "failed") throw new CodedError(end.error.code, end.error.message);
    if (end.kind !== "completed")
      throw new CodedError("NOT_READY", `The executor of ${handler.worker} ended early (${end.kind}).`);
  }

  /** A type that uses the model, whatever name the one and the other give it. @throws CodedError CONFIG_INVALID, MODEL_NOT_FOUND */
  async #handlerOf(model: string): Promise<Handler> {
    const { registry, config } = this.#options;
    const { modelsFolder } = config;
    const { path } = await findModel(modelsFolder, model);
    for (const handler of registry.all()) {
      if (handler.model === undefined || config.engines.has(handler.worker)) continue;
      const own = await findModel(modelsFolder, handler.model).catch(() => null);
      // One that wants more than a prompt is not asked for what only its callers know.
      if (own?.path === path && checkJob(handler, warmUpJob(handler, model)).ok) return handler;
    }
    throw notUsed(model);
  }
}

function notUsed(model: string): CodedError {
  return new CodedError("CONFIG_INVALID", `WARM_MODELS names ${model}, which no job type of this container uses.`);
}

function warmUpJob({ type, parameters }: Handler, model: string): Job {
  const few = { num_inference_steps: 1, num_images: 1 };
  const config = Object.fromEntries(
    Object.entries(few).filter(([name]) => parameters !== undefined && Object.hasOwn(parameters.shape, name)),
  );
  return jobEnvelope.parse({ id: `warm-up-${crypto.randomUUID()}`, type, prompt, model_variant: model, config });
}

async function untilAvailable(executor: Executor, signal: AbortSignal): Promise<void> {
  while (!executor.available) await once(executor, "state", { signal });
}

const refuse = () => Promise.reject(new CodedError("NOT_READY", "The container is warming up."));

/** Nobody is interested in how it goes. */
const hooks: TaskHooks = {
  onProgress: () => undefined,
  onStage: () => undefined,
  onText: () => undefined,
  call: refuse,
  query: refuse,
  enqueue: refuse,
  input: refuse,
};
