import { once } from "node:events";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { type JobCallback, jobCallback } from "#contract/callback.ts";
import { verifyCallback } from "#contract/signature.ts";
import { FaultPlan } from "./storage/faults.ts";

/*
 * An app's callback endpoint on loopback that keeps the contract: it checks the signature, remembers by (job, attempt,
 * status) and run, lets nothing follow the end of a run, and nothing of an earlier run a later one. Slow and failing as its fault plan says.
 */
export interface CallbackServer {
  readonly url: string;
  readonly secret: string;
  readonly faults: FaultPlan;
  /** Every callback that was taken, repeated ones included, in the order of arrival. */
  readonly arrived: readonly Arrived[];
  /** What the app made of them: each (job, run, attempt, status) once. */
  readonly known: ReadonlyMap<string, JobCallback>;
  /** How many requests were under way at one moment, at the most. */
  maxAtOnce(): number;
  close(): Promise<void>;
}

export interface Arrived {
  readonly callback: JobCallback;
  /** As it was sent. */
  readonly body: unknown;
  readonly headers: Headers;
  readonly atMs: number;
}

export async function startCallbackServer(secret = "secret-of-the-test-app"): Promise<CallbackServer> {
  const faults = new FaultPlan();
  const arrived: Arrived[] = [];
  const known = new Map<string, JobCallback>();
  /** By job: the newest run that is known of, and whether it has ended. */
  const runs = new Map<string, { readonly run: number; readonly ended: boolean }>();
  let atOnce = 0;
  let max = 0;
  const server = createServer(async (request, response) => {
    max = Math.max(max, ++atOnce);
    response.once("close", () => atOnce--);
    if (!(await faults.meet(request, response))) return;
    const bytes = await buffer(request);
    const headers = new Headers(Object.entries(request.headersDistinct).map(([name, values]) => [name, `${values}`]));
    const answer = (status: number, body: unknown) => response.writeHead(status).end(JSON.stringify(body));
    const verdict = await verifyCallback(secret, headers, bytes);
    if (verdict !== "valid") {
      answer(401, { success: false, code: "UNAUTHORIZED", error: `The signature is ${verdict}.` });
      return;
    }
    const body: unknown = JSON.parse(bytes.toString());
    const parsed = jobCallback.safeParse(body);
    if (!parsed.success) {
      answer(400, { success: false, code: "INVALID_REQUEST", error: parsed.error.message });
      return;
    }
    const callback = parsed.data;
    arrived.push({ callback, body, headers, atMs: performance.now() });
    const { job_id, run = 1, attempt, status } = callback;
    const newest = runs.get(job_id) ?? { run, ended: false };
    const skipped = run < newest.run || (run === newest.run && newest.ended);
    if (!skipped) {
      known.set(`${job_id}/${run === 1 ? "" : `run ${run}/`}${attempt}/${status}`, callback);
      runs.set(job_id, { run, ended: status !== "processing" });
    }
    answer(200, { success: true, message: skipped ? "known already" : "taken", ...(skipped ? { skipped } : {}) });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the callback server has no port");
  return {
    url: `http://127.0.0.1:${address.port}/functions/v1/job-callback`,
    secret,
    faults,
    arrived,
    known,
    maxAtOnce: () => max,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
