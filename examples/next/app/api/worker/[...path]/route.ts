import { readSession, type Session } from "@/lib/session";
import { callWorker, refuse } from "@/lib/worker";

/*
 * What a signed-in user may ask of the container: jobs of their own, and files for them. Who the user is, is said here, whatever
 * the browser says.
 */
type Context = { readonly params: Promise<{ readonly path: string[] }> };

async function handle(request: Request, { params }: Context): Promise<Response> {
  const session = await readSession();
  if (session === null) return refuse(401, "Sign in first.");
  const [kind, id, ...rest] = (await params).path;
  const { method } = request;
  if (kind === "inputs" && id === undefined && method === "POST") return upload(request, session);
  // The container has signed the address: it opens this file and no other.
  if (kind === "files" && method === "GET") return pass(await callWorker(fileAddress(request)));
  if (kind !== "jobs") return refuse(404, "There is nothing here.");
  if (id === undefined) return method === "POST" ? create(request, session) : list(request, session);
  return ofJob(request, session, encodeURIComponent(id), rest);
}

export const GET = handle;
export const POST = handle;
export const DELETE = handle;

async function create(request: Request, session: Session): Promise<Response> {
  const { type, prompt, metadata } = await request.json();
  const body = JSON.stringify({ type, prompt, metadata, user_id: session.id });
  return pass(await callWorker("/jobs", { method: "POST", headers: { "content-type": "application/json" }, body }));
}

async function list(request: Request, session: Session): Promise<Response> {
  const limit = new URL(request.url).searchParams.get("limit") ?? "20";
  return pass(await callWorker(`/jobs?${new URLSearchParams({ user_id: session.id, limit })}`));
}

async function upload(request: Request, session: Session): Promise<Response> {
  const body = await request.arrayBuffer();
  return pass(await callWorker(`/inputs?user_id=${session.id}`, { method: "POST", body }));
}

async function ofJob(request: Request, session: Session, id: string, rest: readonly string[]): Promise<Response> {
  const seen = await callWorker(`/jobs/${id}`);
  const job = await seen.json();
  if (seen.ok && job.user_id !== session.id) return refuse(404, "There is no such job.");
  if (!seen.ok || (request.method === "GET" && rest.length === 0)) return Response.json(job, { status: seen.status });
  if (request.method === "DELETE" && rest.length === 0)
    return pass(await callWorker(`/jobs/${id}`, { method: "DELETE" }));
  if (request.method === "POST" && rest.join("/") === "discard")
    return pass(await callWorker(`/jobs/${id}/discard?files=true`, { method: "POST" }));
  if (request.method !== "GET" || rest.join("/") !== "events") return refuse(404, "There is nothing here.");
  const after = request.headers.get("last-event-id");
  const headers = new Headers(after === null ? [] : [["last-event-id", after]]);
  return pass(await callWorker(`/jobs/${id}/events`, { headers, signal: request.signal }));
}

function fileAddress({ url }: Request): string {
  const { pathname, search } = new URL(url);
  return pathname.replace("/api/worker", "") + search;
}

/** The answer as it comes, event streams too. */
function pass(answer: Response): Response {
  const headers = {
    "content-type": answer.headers.get("content-type") ?? "application/json",
    "cache-control": "no-store",
  };
  return new Response(answer.body, { status: answer.status, headers });
}
