import type { ErrorReport } from "#contract/errors.ts";
import type { HandlerProblem, Registry } from "#runtime/job-types/registry.ts";
import { type Condition, type ConditionKey, keyOf } from "./conditions.ts";
import type { ModelView } from "./engine-models.ts";

export interface SeenExecutor {
  readonly status: {
    /** Job types that its process has loaded; null while none is ready. */
    readonly types: readonly string[] | null;
    /** Files that it could not load. */
    readonly problems: readonly HandlerProblem[];
    readonly startError: ErrorReport | null;
  };
}

type SeenModels = Pick<ModelView, "problemOf" | "folderOf" | "isAbsent">;

type Seen = ConditionKey & Pick<Condition, "error" | "isAbsence">;

/**
 * Conditions that are seen without running a job: models that handlers name and that are missing or broken, files that are no
 * handlers, handlers that an executor has not loaded, executors that cannot start. They go when what they are about is mended.
 */
export class SeenConditions {
  readonly #registry: Pick<Registry, "all" | "get" | "problems">;
  readonly #modelsOf: (worker: string) => SeenModels;
  readonly #nowMs: () => number;
  readonly #since = new Map<string, number>();

  constructor(
    registry: Pick<Registry, "all" | "get" | "problems">,
    modelsOf: (worker: string) => SeenModels,
    nowMs: () => number,
  ) {
    this.#registry = registry;
    this.#modelsOf = modelsOf;
    this.#nowMs = nowMs;
  }

  look(executors: ReadonlyMap<string, SeenExecutor>): Condition[] {
    const seen = [...executors].flatMap(([worker, executor]) => this.#ofWorker(worker, executor));
    return this.#withTimes([...seen, ...this.#brokenFiles()]);
  }

  #ofWorker(worker: string, { status }: SeenExecutor): Seen[] {
    const handlers = this.#registry.all().filter((handler) => handler.worker === worker);
    if (status.startError !== null) return [{ worker, kind: "worker", subject: worker, error: status.startError }];
    const models = this.#modelsOf(worker);
    const needed = new Set(handlers.flatMap(({ model }) => (model === undefined ? [] : [model])));
    const broken = [...needed].flatMap((model): Seen[] => {
      const error = models.problemOf(model);
      if (error === null) return [];
      const isAbsence = models.isAbsent(model);
      return [{ worker, kind: "model", subject: models.folderOf(model), error, isAbsence }];
    });
    const { types } = status;
    const unloaded = types === null ? [] : handlers.filter(({ type }) => !types.includes(type));
    const problemOf = (type: string) => status.problems.find((each) => each.type === type)?.problem;
    return [...broken, ...unloaded.map(({ type }) => notLoaded(worker, type, problemOf(type)))];
  }

  #brokenFiles(): Seen[] {
    return this.#registry.problems.map(({ type, problem }) => ({
      // A file that cannot be read does not say whose it is.
      worker: this.#registry.get(type)?.worker ?? "unknown",
      kind: "type",
      subject: type,
      error: { code: "HANDLER_INVALID", message: problem },
    }));
  }

  #withTimes(seen: readonly Seen[]): Condition[] {
    const keys = new Set(seen.map(keyOf));
    for (const key of this.#since.keys()) if (!keys.has(key)) this.#since.delete(key);
    return seen.map((each) => {
      const sinceMs = this.#since.get(keyOf(each)) ?? this.#nowMs();
      this.#since.set(keyOf(each), sinceMs);
      return { ...each, sinceMs, nextLookMs: null, state: "active" };
    });
  }
}

/** @param problem what the executor found wrong with the file; undefined when it was away at that moment */
function notLoaded(worker: string, type: string, problem: string | undefined): Seen {
  const why = problem ?? `the executor of ${worker} did not find it when it started`;
  const message = `The handler of ${type} is not loaded, since its file has changed: ${why}. Mend it, and it is loaded again.`;
  return { worker, kind: "type", subject: type, error: { code: "HANDLER_INVALID", message } };
}
