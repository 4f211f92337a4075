import { z } from "zod";
import { isJobType } from "../job-types.ts";
import { describeProblems, parseWith } from "../problems.ts";
import { maxRegistrationBytes, type Registration, registration } from "../registration.ts";
import { type EdgeResponse, HttpError } from "./answer.ts";
import { readJson } from "./body.ts";
import type { Database } from "./database.ts";
import type { CallOfAnybody } from "./edge-function.ts";
import { sweepOutbox } from "./outbox.ts";
import { requestHealth, workerAddress } from "./worker-client.ts";

/** Containers: how they register, and how one is found. */

/** A container that was not heard of for this long is gone; it registers every minute. */
export const activeSeconds = 120;

const workerRow = z.looseObject({
  worker_id: z.string(),
  url: z.string(),
  capabilities: z.array(z.string()),
  status: z.string(),
  version: z.string().nullable(),
  last_seen_at: z.string(),
  healthy_at: z.string().nullable(),
});
export type WorkerRow = z.output<typeof workerRow>;

/**
 * Takes a container's registration: its health is requested at its address before that is given to anybody.
 *
 * @throws CodedError INVALID_REQUEST, WORKER_UNREACHABLE
 */
export async function register(call: CallOfAnybody, capabilities: readonly string[] = []): Promise<EdgeResponse> {
  const { config, database, log } = call;
  const registered = await readRegistration(call.request);
  const worker_url = workerAddress(registered.worker_url, config);
  const isActive = registered.status === "active";
  const health = isActive ? await requestHealth(worker_url) : null;
  const worker = {
    worker_id: registered.worker_id,
    worker_url,
    status: registered.status,
    capabilities: [...new Set([...registered.capabilities, ...capabilities])],
    job_types: registered.job_types.filter(({ type }) => !isJobType(type)),
    version: registered.version,
    registration_method: registered.registration_method ?? (registered.auto_registered === false ? "manual" : "self"),
    detection_method: registered.detection_method,
    timestamp: isoTime(registered.timestamp),
    healthy: isActive,
  };
  const row = await database.call("register_worker", { worker }, workerRow);
  log.info({ worker_id: row.worker_id, status: row.status, health: health?.status }, "registration");
  // Containers register every minute: what waits in the outbox is pushed even while no user calls.
  call.inBackground("sweeping the outbox", sweepOutbox(call));
  const { worker_id, url, status } = row;
  return { status: 200, body: { success: true, worker_id, worker_url: url, status, health: health?.status ?? null } };
}

/** The container that was found healthy last among those with this capability; null when there is none. */
export function findWorker(database: Database, capability: string | null): Promise<WorkerRow | null> {
  return database.call("find_active_worker", { capability, within_seconds: activeSeconds }, workerRow.nullable());
}

async function readRegistration(request: Request): Promise<Registration> {
  const parsed = parseWith(registration, await readJson(request, maxRegistrationBytes));
  if (parsed.ok) return parsed.value;
  throw new HttpError("INVALID_REQUEST", `The registration is invalid: ${describeProblems(parsed.problems)}`, {
    details: parsed.problems,
  });
}

/** Reports are put in order by it; one in no known form counts as one without. */
function isoTime(text: string | undefined): string | undefined {
  const ms = Date.parse(text ?? "");
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}
