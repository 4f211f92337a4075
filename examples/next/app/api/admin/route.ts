import { createClient } from "@supabase/supabase-js";
import type { Overview } from "@/lib/backend";
import { readSession } from "@/lib/session";
import { callWorker, refuse } from "@/lib/worker";

/*
 * Queues and containers, for administrators: `app_metadata.role` is "admin" in the Supabase project, or the e-mail address is
 * one of ADMIN_EMAILS.
 */
export async function GET(request: Request): Promise<Response> {
  const { NEXT_PUBLIC_SUPABASE_URL: url, SUPABASE_SERVICE_KEY: key } = process.env;
  if (!url) return (await readSession())?.isAdmin ? Response.json(await ofContainer()) : forbidden();
  if (!key) return refuse(500, "SUPABASE_SERVICE_KEY is not set.");
  const project = createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false } });
  const { data } = await project.auth.getUser((request.headers.get("authorization") ?? "").replace(/^Bearer /, ""));
  if (data.user?.app_metadata.role !== "admin") return forbidden();
  const { data: metrics, error } = await project.functions.invoke("system-metrics");
  return error === null ? Response.json(ofMetrics(metrics)) : refuse(502, error.message);
}

const forbidden = () => refuse(403, "This page is for administrators.");

async function ofContainer(): Promise<Overview> {
  const [{ queues }, { status }] = await Promise.all(
    ["/queues", "/worker/status"].map(async (path) => (await callWorker(path)).json()),
  );
  return { queues, containers: [`this one: ${status}`] };
}

function ofMetrics({ queues, workers }: { queues: Overview["queues"]; workers: { worker_id: string }[] }): Overview {
  return { queues, containers: workers.map(({ worker_id }) => worker_id) };
}
