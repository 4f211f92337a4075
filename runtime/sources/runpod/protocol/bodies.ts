import type { ErrorReport } from "#contract/errors.ts";

/* What a container posts. Bodies are JSON text, whatever their content type says. */

/** Where a container says who it is. */
export interface Poster {
  readonly hostname: string;
  readonly workerId: string;
  /** Name and version of the program. */
  readonly version: string;
}

/** A number between 0 and 1, and what clients read of it while the job runs. */
export function progressBody(output: unknown): string {
  return JSON.stringify({ status: "IN_PROGRESS", output });
}

export function chunkBody(chunk: unknown): string {
  return JSON.stringify({ output: chunk });
}

/** `stopPod`: the platform is to replace this container after this job. */
export function outputBody(output: unknown, stopPod: boolean): string {
  return JSON.stringify({ output, ...(stopPod ? { stopPod } : {}) });
}

export function errorBody(error: ErrorReport, poster: Poster, stopPod: boolean): string {
  return JSON.stringify({ error: errorText(error, poster), ...(stopPod ? { stopPod } : {}) });
}

/** An error is a text that holds JSON, in the fields of the official worker, so that what reads its errors reads ours. */
export function errorText({ code, message }: ErrorReport, poster: Poster): string {
  return JSON.stringify({
    error_type: code,
    error_message: message,
    error_traceback: "",
    hostname: poster.hostname,
    worker_id: poster.workerId,
    runpod_version: poster.version,
  });
}
