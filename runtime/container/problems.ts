import type { ErrorCode } from "#contract/errors.ts";
import type { DeliveryAlarm } from "#runtime/delivery/waits.ts";
import type { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import type { ExecutorStatus } from "#runtime/executor/parent/executor.ts";
import type { ConnectedSource, SourceTrouble } from "#runtime/sources/source-definition.ts";
import type { FolderProblem } from "./folder-watch.ts";
import type { ModelFetches } from "./model-fetches.ts";

/** What is wrong with a container, beside the job types and models that it does not run. */
export interface Problem {
  readonly part: "dispatcher" | "source" | "executor" | "delivery" | "data folder" | "models";
  /** Which one, when there are several: a source's or a worker's name. */
  readonly subject: string | null;
  readonly code: ErrorCode;
  /** Null when it is not known. */
  readonly sinceMs: number | null;
  /** For everybody: no paths, addresses or keys. */
  readonly summary: string;
  /** For whoever may look into the container: what is wrong and what to do. */
  readonly message: string;
}

type ExecutorVitals = Pick<ExecutorStatus, "worker" | "state" | "startError" | "troubleSinceMs">;

/** The parts of a container that may have a problem. */
export interface ProblemParts {
  readonly dispatcher: Pick<Dispatcher, "failure" | "troubles">;
  readonly executors: ReadonlyMap<string, { readonly status: ExecutorVitals }>;
  readonly delivery: { readonly alarms: readonly DeliveryAlarm[] };
  readonly dataFolder: { readonly problem: FolderProblem | null };
  readonly sources: ReadonlyMap<string, Pick<ConnectedSource, "problems" | "trouble">>;
  readonly fetches: Pick<ModelFetches, "pending">;
}

export function problemsOf(parts: ProblemParts): Problem[] {
  return [...ofContainer(parts), ...ofSources(parts), ...ofExecutors(parts), ...ofDelivery(parts), ...ofFetches(parts)];
}

function* ofContainer({ dispatcher, dataFolder }: ProblemParts): Generator<Problem> {
  if (dispatcher.failure !== null) {
    const summary = "The loop that takes jobs has died: restart the container.";
    yield { part: "dispatcher", subject: null, code: "INTERNAL", summary, ...dispatcher.failure };
  }
  if (dataFolder.problem !== null) {
    const { code, message, sinceMs } = dataFolder.problem;
    const summary = code === "DISK_FULL" ? "The disk of the data folder is full." : "The data folder is gone.";
    yield { part: "data folder", subject: null, code, sinceMs, summary, message };
  }
}

/** Sources that do not answer: as the loop that takes found it, or who renews, settles or looks while it takes nothing. */
export function troublesOf({
  dispatcher,
  sources,
}: {
  readonly dispatcher: Pick<Dispatcher, "troubles">;
  readonly sources: ReadonlyMap<string, Pick<ConnectedSource, "trouble">>;
}): readonly (SourceTrouble & { readonly source: string })[] {
  const found = [...sources].flatMap(([source, { trouble }]) => {
    const heard = trouble?.() ?? null;
    return heard === null ? [] : [{ ...heard, source }];
  });
  const others = found.filter(({ source }) => !dispatcher.troubles.some((trouble) => trouble.source === source));
  return [...dispatcher.troubles, ...others];
}

function* ofSources({ dispatcher, sources }: ProblemParts): Generator<Problem> {
  for (const { source, code, message, sinceMs } of troublesOf({ dispatcher, sources })) {
    const summary =
      code === "QUEUE_FULL"
        ? `The queue of ${source} is full and takes no new jobs (${code}).`
        : `No jobs can be taken from ${source} (${code}).`;
    yield { part: "source", subject: source, code, sinceMs, summary, message };
  }
  for (const [source, { problems }] of sources) {
    for (const found of problems?.() ?? []) yield { part: "source", subject: source, ...found };
  }
}

function* ofExecutors({ executors }: ProblemParts): Generator<Problem> {
  for (const {
    status: { worker, state, startError, troubleSinceMs: sinceMs },
  } of executors.values()) {
    const subject = { part: "executor", subject: worker, sinceMs } as const;
    if (startError !== null) {
      const { code, message } = startError;
      yield { ...subject, code, summary: `The executor of ${worker} cannot start (${code}).`, message };
    } else if (state === "waiting") {
      const summary = `The executor of ${worker} has crashed and is started again.`;
      yield { ...subject, code: "EXECUTOR_CRASHED", summary, message: summary };
    }
  }
}

function* ofFetches({ fetches }: ProblemParts): Generator<Problem> {
  for (const { name, failure } of fetches.pending.values()) {
    if (failure === null) continue;
    const { code, message } = failure.error;
    const summary = `The model ${name} cannot be fetched (${code}); it is tried again.`;
    yield { part: "models", subject: name, code, sinceMs: failure.sinceMs, summary, message };
  }
}

function* ofDelivery({ delivery }: ProblemParts): Generator<Problem> {
  for (const { code, message, step, sinceMs, jobs } of delivery.alarms) {
    // Whoever sent the job chose the address: the container is well.
    if (step === "webhook") continue;
    const results = jobs === 1 ? "1 result" : `${jobs} results`;
    const waits = `${jobs === 1 ? "waits" : "wait"} for the ${step === "files" ? "storage" : "app"}`;
    const summary = `${results} ${step === "read" ? "cannot be read" : waits} (${code}).`;
    yield { part: "delivery", subject: null, code, sinceMs, summary, message };
  }
}
