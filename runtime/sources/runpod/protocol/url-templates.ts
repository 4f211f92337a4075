/*
 * The addresses of RunPod's worker protocol come as templates in the environment. What stands in them is expanded here, in every
 * form that is in use: `$RUNPOD_POD_ID`, `$RUNPOD_GPU_TYPE_ID` and `$ID`, with and without braces. `$ID` means the container in
 * the address from which jobs are taken, and the job in those to which results are posted.
 */
export interface TemplateValues {
  readonly workerId: string;
  /** For the addresses to which results are posted. */
  readonly jobId?: string;
  readonly gpuType?: string;
}

const place = /\$(?:\{(RUNPOD_POD_ID|RUNPOD_GPU_TYPE_ID|ID)\}|(RUNPOD_POD_ID|RUNPOD_GPU_TYPE_ID|ID)(?![A-Za-z0-9_]))/g;

export function expandTemplate(template: string, { workerId, jobId = workerId, gpuType = "" }: TemplateValues): string {
  const values: Readonly<Record<string, string>> = { RUNPOD_POD_ID: workerId, RUNPOD_GPU_TYPE_ID: gpuType, ID: jobId };
  return template.replace(place, (_whole, braced?: string, plain?: string) =>
    encodeURIComponent((values[braced ?? plain ?? ""] ?? "").toWellFormed()),
  );
}

/** Whether each job has an address of its own: the host and what is behind `#` do not count. */
export function namesJob(template: string): boolean {
  const behindHost = template.replace(/#.*$/, "").replace(/^https?:\/\/[^/?]*/, "");
  return (
    expandTemplate(behindHost, { workerId: "", jobId: "a" }) !==
    expandTemplate(behindHost, { workerId: "", jobId: "b" })
  );
}

/** The address with parameters behind those that it has. Where it has none, they begin with `?`, which not every client minds. */
export function withQuery(url: string, parameters: Readonly<Record<string, string>>): string {
  const [address = "", ...fragment] = url.split("#");
  const query = new URLSearchParams(parameters).toString();
  const joint = !address.includes("?") ? "?" : /[?&]$/.test(address) ? "" : "&";
  const tail = fragment.length === 0 ? "" : `#${fragment.join("#")}`;
  return query === "" ? url : `${address}${joint}${query}${tail}`;
}

/** The address beside that from which jobs are taken; null where that has another form. */
export function besideTake(url: string, name: "job-take-batch" | "job-stop"): string | null {
  return url.includes("/job-take/") ? url.replace("/job-take/", `/${name}/`) : null;
}
