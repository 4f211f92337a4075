import type { SupabaseClient } from "@supabase/supabase-js";
import { answerOf, type Job, type JobStatus, type Picture, waitingText } from "./backend.ts";

/* Jobs and their pictures as a signed-in user may read them. */

const columns = "id,prompt,status,progress,error,created_at";
const signedSeconds = 3600;

interface JobRow {
  readonly id: string;
  readonly prompt: string | null;
  readonly status: JobStatus;
  readonly progress: number | null;
  readonly error: { readonly message: string } | null;
  readonly created_at: string;
}

interface AssetRow {
  readonly job_id: string;
  readonly index: number;
  readonly type: Picture["type"];
  readonly bucket: string;
  readonly path: string;
  readonly thumbnail_path: string | null;
}

interface Wait {
  readonly queue_position: number | null;
  readonly waiting_for: { readonly type: string; readonly model: string | null } | null;
}

/** Calls an edge function; its refusals have a sentence for the user. */
export async function invoke<Answer>(
  supabase: SupabaseClient,
  name: string,
  options: { method?: "GET" | "POST"; body?: object } = {},
): Promise<Answer> {
  const { data, error } = await supabase.functions.invoke(name, options);
  if (error === null) return data;
  if (error.context instanceof Response) return answerOf(error.context);
  throw new Error(error.message);
}

export async function readJob(supabase: SupabaseClient, id: string): Promise<Job> {
  const [found] = await read(supabase.from("ourvidz_jobs").select(columns).eq("id", id).returns<JobRow[]>());
  if (found === undefined) throw new Error("There is no such job.");
  if (found.status !== "queued") return toJob(found, await readPictures(supabase, [id]));
  const { job } = await invoke<{ job: Wait }>(supabase, `job-status?job_id=${id}`, { method: "GET" });
  return { ...toJob(found, []), place: job.queue_position, waitingFor: waitingText(job.waiting_for) };
}

/** The newest first. */
export async function readJobs(supabase: SupabaseClient, limit: number): Promise<readonly Job[]> {
  const newest = supabase.from("ourvidz_jobs").select(columns).order("created_at", { ascending: false });
  const rows = await read(newest.limit(limit).returns<JobRow[]>());
  const pictures = await readPictures(
    supabase,
    rows.map(({ id }) => id),
  );
  return rows.map((row) =>
    toJob(
      row,
      pictures.filter(({ jobId }) => jobId === row.id),
    ),
  );
}

async function readPictures(
  supabase: SupabaseClient,
  jobIds: readonly string[],
): Promise<readonly (Picture & { readonly jobId: string })[]> {
  const select = supabase.from("ourvidz_assets").select("job_id,index,type,bucket,path,thumbnail_path");
  const rows = await read(select.in("job_id", jobIds).order("index").returns<AssetRow[]>());
  const pictures = rows.map(async ({ job_id: jobId, index, type, bucket, path, thumbnail_path }) => {
    const storage = supabase.storage.from(bucket);
    const sign = async (file: string) => (await storage.createSignedUrl(file, signedSeconds)).data?.signedUrl;
    const [url, thumbnailUrl] = await Promise.all([sign(path), sign(thumbnail_path ?? path)]);
    // A file that is gone from the storage has no address.
    return url === undefined ? [] : [{ jobId, index, type, url, thumbnailUrl: thumbnailUrl ?? url }];
  });
  return (await Promise.all(pictures)).flat();
}

async function read<Row>(
  query: PromiseLike<{ data: Row[] | null; error: { message: string } | null }>,
): Promise<Row[]> {
  const { data, error } = await query;
  if (error !== null) throw new Error(error.message);
  return data ?? [];
}

function toJob(row: JobRow, pictures: readonly Picture[]): Job {
  const { id, prompt, status, progress, error, created_at: createdAt } = row;
  const message = error?.message ?? null;
  const known = { id, prompt: prompt ?? "", status, progress, error: message, createdAt, pictures };
  return { ...known, place: null, waitingFor: null };
}
