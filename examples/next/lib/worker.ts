/* The container as this app's server calls it: with the key, which no browser sees. */

export function callWorker(path: string, init: RequestInit = {}): Promise<Response> {
  const { WORKER_URL = "http://127.0.0.1:7860", WORKER_KEY } = process.env;
  const headers = new Headers(init.headers);
  if (WORKER_KEY) headers.set("authorization", `Bearer ${WORKER_KEY}`);
  return fetch(`${WORKER_URL}${path}`, { ...init, headers, cache: "no-store" });
}

export function refuse(status: number, error: string): Response {
  return Response.json({ success: false, error }, { status });
}
