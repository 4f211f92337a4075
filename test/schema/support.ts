import { expect } from "vitest";
import { asCaller, type Caller, service, type TestDatabase } from "../support/supabase/database.ts";
import { answerTo, callFunction, type RestAnswer, readTable } from "../support/supabase/rest.ts";

/* For tests of the migrations: functions and tables as the REST API calls and reads them. */

export interface Project {
  /** As the owner, for looking behind the functions. */
  readonly owner: TestDatabase;
  /** As the REST API connects. */
  readonly api: TestDatabase;
}

/** What a test is given while it runs. */
export type UseProject = () => Project;

export const ann = "aaaaaaaa-0000-4000-8000-000000000001";
export const bob = "bbbbbbbb-0000-4000-8000-000000000002";

export type Json = Readonly<Record<string, unknown>>;

/** Calls a function as somebody, and returns what the REST API would answer. */
export async function call(project: Project, caller: Caller, name: string, args: Json = {}): Promise<RestAnswer> {
  try {
    return await asCaller(project.api, caller, (query) => callFunction(query, name, args));
  } catch (error) {
    return answerTo(error, caller.role !== "anon");
  }
}

/** Calls a function as the service, which must succeed. */
export async function rpc(project: Project, name: string, args: Json = {}): Promise<Json> {
  const { status, body } = await call(project, service, name, args);
  expect({ status, body: status === 200 ? undefined : body }).toEqual({ status: 200, body: undefined });
  return object(body);
}

export async function rpcList(project: Project, name: string, args: Json = {}): Promise<Json[]> {
  const { status, body } = await call(project, service, name, args);
  expect({ status, isList: Array.isArray(body) }).toEqual({ status: 200, isList: true });
  return Array.isArray(body) ? body.map(object) : [];
}

/** Reads a table as somebody. */
export async function read(project: Project, caller: Caller, table: string, filters: string = ""): Promise<RestAnswer> {
  try {
    const rows = await asCaller(project.api, caller, (query) => readTable(query, table, new URLSearchParams(filters)));
    return { status: 200, body: rows };
  } catch (error) {
    return answerTo(error, caller.role !== "anon");
  }
}

export function object(value: unknown): Json {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

export interface NewJob {
  readonly id?: string;
  readonly user?: string | null;
  readonly type?: string;
  readonly fields?: Json;
  readonly options?: Json;
}

/** Enqueues a job of the source "supabase", unless the options name another, and returns its id. */
export async function enqueue(project: Project, { id, user, type, fields, options }: NewJob = {}): Promise<string> {
  const job = {
    ...(id === undefined ? {} : { id }),
    type: type ?? "sdxl_image_fast",
    prompt: "a lighthouse at dawn",
    ...(user === null || user === undefined ? {} : { user_id: user }),
    ...fields,
  };
  const answer = await rpc(project, "enqueue_job", { job, options: { source: "supabase", ...options } });
  return String(answer.job_id);
}

export interface TakenLease {
  readonly job_id: string;
  readonly token: string;
  readonly attempt: number;
}

export async function claim(project: Project, slots = 1, worker = "sdxl"): Promise<TakenLease[]> {
  const requests = [{ worker, slots }];
  const leases = await rpcList(project, "claim_jobs", { worker_id: "container-1", requests, lease_seconds: 60 });
  return leases.map(({ job_id, token, attempt }) => ({
    job_id: String(job_id),
    token: String(token),
    attempt: Number(attempt),
  }));
}

export async function claimOne(project: Project): Promise<TakenLease> {
  const [lease] = await claim(project);
  if (lease === undefined) throw new Error("no job was due");
  return lease;
}

export interface TakeOptions {
  readonly container?: string;
  readonly slots?: number;
  readonly offer?: Json;
  readonly heldModels?: readonly string[];
  readonly more?: Json;
}

/** Takes as a container does: leases of jobs for the worker `sdxl`, and ends that nobody has reported. */
export async function take(project: Project, options: TakeOptions = {}) {
  const { container = "container-1", slots = 1, offer, heldModels = [], more } = options;
  const requests = [{ worker: "sdxl", slots, held_models: heldModels, ...(offer === undefined ? {} : { offer }) }];
  const { leases, ends } = await rpc(project, "take_jobs", { worker_id: container, requests, ...more });
  if (!Array.isArray(leases) || !Array.isArray(ends)) throw new Error("take_jobs answered no lists");
  return { leases: leases.map(object), ends: ends.map(object) };
}

export async function settle(project: Project, lease: TakenLease, ending: Json & { call: string }): Promise<unknown> {
  const { job_id, token } = lease;
  return (await rpc(project, "settle_job", { settlement: { job_id, token, ...ending } })).outcome;
}

/** A row of the table of jobs. */
export async function rowOf(project: Project, jobId: string): Promise<Json> {
  const [row] = await project.owner.query("select to_jsonb(jobs) as row from ourvidz.jobs where id = $1", [jobId]);
  return object(row?.row);
}

export async function statusOf(project: Project, jobId: string): Promise<unknown> {
  return (await rowOf(project, jobId)).status;
}

/** Everything in these tables, to see that a refused call left nothing behind. */
export async function everything(project: Project): Promise<unknown> {
  const tables = [
    "jobs",
    "job_attempts",
    "job_ends",
    "offers",
    "assets",
    "usage",
    "queue_outbox",
    "idempotency_keys",
    "workers",
  ];
  const dumps = tables.map(
    (table) => `(select jsonb_agg(to_jsonb(t) order by t::text) from ourvidz.${table} as t) as ${table}`,
  );
  const [row] = await project.owner.query(`select ${dumps.join(", ")}`);
  return row;
}

export function callback(jobId: string, status: string, more: Json = {}): Json {
  return { callback: { job_id: jobId, status, attempt: 1, metadata: {}, ...more } };
}

export function imageOf(jobId: string, user: string | null, index = 0): Json {
  const folder = `${user ?? "anonymous"}/${jobId}`;
  return {
    type: "image",
    url: `${folder}/${index}.png`,
    thumbnail_url: `${folder}/${index}.thumb.webp`,
    mime_type: "image/png",
    size_bytes: 1000 + index,
    index,
    metadata: { seed: 42 },
  };
}
