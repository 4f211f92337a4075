/* A job as RunPod's clients read it, in the answer to a status and in the webhook of its end: one place says what each has. */
export type RunpodStatus = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "CANCELLED" | "TIMED_OUT";

export interface RequestFields {
  readonly id: string;
  readonly status: RunpodStatus;
  /** Whole milliseconds in the queue; absent of a job that was never taken, as are the two that follow. */
  readonly delayTime?: number;
  /** Whole milliseconds that it ran; absent while it runs. */
  readonly executionTime?: number;
  readonly workerId?: string;
  /** While the job runs, the progress as its container reported it last; none of one that was cancelled. */
  readonly output?: unknown;
  readonly error?: string;
}

export interface RequestFacts extends Pick<RequestFields, "id" | "status" | "output" | "error"> {
  /** Null where it is not known, which no job is that has been taken here. */
  readonly waitedMs: number | null;
  readonly ranMs: number | null;
  /** The container that ran it last. */
  readonly workerId: string | null;
}

export function requestFields({ id, status, waitedMs, ranMs, workerId, output, error }: RequestFacts): RequestFields {
  const isCancelled = status === "CANCELLED";
  return {
    id,
    status,
    ...(waitedMs === null ? {} : { delayTime: wholeMs(waitedMs) }),
    ...(ranMs === null ? {} : { executionTime: wholeMs(ranMs) }),
    ...(workerId === null ? {} : { workerId }),
    ...(output === undefined || isCancelled ? {} : { output }),
    ...(error === undefined || isCancelled ? {} : { error }),
  };
}

const wholeMs = (ms: number) => Math.max(0, Math.round(ms));
