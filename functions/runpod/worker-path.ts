/*
 * The addresses that a container calls. The official worker appends `&name=value` to its template also where that has no
 * query, so that parameters may stand at the end of the path; others carry the job's id as a parameter, or in a header.
 */
export interface WorkerCall {
  readonly workerId: string;
  readonly jobId: string | null;
  readonly query: URLSearchParams;
}

/** @param path what follows the operation: `<container>` or `<container>/<job>` */
export function readWorkerCall(path: string, search: string, headers: Pick<Headers, "get">): WorkerCall {
  const [place = "", ...glued] = path.split("&");
  const query = new URLSearchParams([search.replace(/^\?/, ""), ...glued].filter((part) => part !== "").join("&"));
  const [workerId = "", jobId] = place
    .split("/")
    .filter((part) => part !== "")
    .map(decoded);
  return { workerId, jobId: jobId ?? query.get("job_id") ?? query.get("id") ?? headers.get("x-request-id"), query };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
