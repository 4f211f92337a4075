import { randomUUID } from "node:crypto";
import { z } from "zod";
import { CodedError, type ErrorCode } from "#contract/errors.ts";
import type { JobRows } from "../job-rows.ts";
import { resolveOptions, type SupabaseSourceOptions } from "./options.ts";
import { redriven } from "./replies.ts";
import { RpcClient } from "./rpc-client.ts";

/** Of jobs that are on Redis. */
const only_source = "upstash";
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const asked = z.object({ outcome: z.enum(["cancelled", "requested"]), attempt: z.number() });

/** The row is not there, since a container enqueued the job itself, or is as it should be. */
const nothingToDo: ReadonlySet<ErrorCode> = new Set(["JOB_NOT_FOUND", "JOB_NOT_FAILED", "JOB_ALREADY_SETTLED"]);

/** The rows of `jobs` in a Supabase project's database, for jobs whose queue is on Redis. */
export class SupabaseJobRows implements JobRows {
  readonly #client: RpcClient;
  readonly #log: SupabaseSourceOptions["log"];

  constructor(options: SupabaseSourceOptions) {
    this.#client = new RpcClient(resolveOptions(options));
    this.#log = options.log;
  }

  cancelled(jobId: string): Promise<void> {
    return this.#change(jobId, async () => {
      const args = { job_id: jobId, only_source, request: randomUUID() };
      const { outcome, attempt } = await this.#client.call("request_cancel", { args: () => args, answer: asked });
      if (outcome === "cancelled") return;
      // Pushed already: the row waits for a callback.
      const callback = { job_id: jobId, status: "cancelled", attempt, assets: [], metadata: {} };
      await this.#client.call("apply_job_callback", { args: () => ({ callback }), answer: z.unknown() });
    });
  }

  redriven(jobId: string): Promise<void> {
    return this.#change(jobId, async () => {
      const args = { job_id: jobId, only_source, request: randomUUID() };
      await this.#client.call("redrive_job", { args: () => args, answer: redriven });
    });
  }

  /** @throws CodedError when the row may have to be changed and cannot be now: what was asked is asked again */
  async #change(jobId: string, change: () => Promise<void>): Promise<void> {
    if (!uuid.test(jobId)) return;
    try {
      await change();
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      if (nothingToDo.has(error.code)) return;
      if (error.code !== "CONFIG_INVALID") throw error;
      // An app with tables of its own.
      this.#log?.warn({ error, job_id: jobId }, "the job's row in the project's database could not be changed");
    }
  }
}
