/*
 * The addresses that a container calls. The official worker appends `&name=value` to its template also where that has no
 * query, so that parameters may stand at the end of the path; others carry the job's id as a parameter, or in a header.
 */
export interface WorkerCall {
  /** Null where the address does not say which container calls. */
  readonly workerId: string | null;
  readonly jobId: string | null;
  readonly query: URLSearchParams;
}

/** @param path what follows the operation: `<container>` or `<container>/<job>` */
export function readWorkerCall(path: string, search: string, headers: Pick<Headers, "get">): WorkerCall {
  const [place = "", ...glued] = path.split("&");
  const query = new URLSearchParams([search.replace(/^\?/, ""), ...glued].filter((part) => part !== "").join("&"));
  const [name = "", inPath] = place
    .split("/")
    .filter((part) => part !== "")
    .map(decoded);
  const jobId = inPath ?? query.get("job_id") ?? query.get("id") ?? headers.get("x-request-id");
  // The one part of the path is the job, in an address that names no container.
  const isNamed = name !== "" && name !== jobId && !unfilled.test(name);
  return { workerId: isNamed ? name : null, jobId, query };
}

/** The official worker fills in `$ID` alone in the address of the take. */
const unfilled = /^\$(?:ID|RUNPOD_POD_ID|\{ID\}|\{RUNPOD_POD_ID\})$/;

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
