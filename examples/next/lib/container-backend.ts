import {
  answerOf,
  type Backend,
  type Job,
  type JobStatus,
  jobBody,
  type Overview,
  type Picture,
  type User,
  waitingText,
} from "./backend.ts";

/* One container, through this app's own server (app/api), which has the container's key and knows who is signed in. */

interface AssetView {
  readonly index: number;
  readonly type: Picture["type"];
  readonly url: string | null;
  readonly thumbnail_url: string | null;
}

interface JobView {
  readonly job_id: string;
  readonly prompt: string | null;
  readonly status: JobStatus;
  readonly progress: number | null;
  readonly queue_position: number | null;
  readonly waiting_for: { readonly type: string; readonly model: string | null } | null;
  readonly error: { readonly message: string } | null;
  readonly created_at: string;
  readonly assets: readonly AssetView[];
}

async function request<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
  return answerOf(await fetch(`/api${path}`, init));
}

const json = (method: string, body: object): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** A browser need not reach the container: files come by this app's server, too. */
function addressOf(url: string): string {
  const { pathname, search } = new URL(url, "http://container");
  return `/api/worker${pathname.slice(pathname.indexOf("/files/"))}${search}`;
}

function toJob(view: JobView): Job {
  const pictures = view.assets.flatMap(({ index, type, url, thumbnail_url }) =>
    url === null ? [] : [{ index, type, url: addressOf(url), thumbnailUrl: addressOf(thumbnail_url ?? url) }],
  );
  return {
    id: view.job_id,
    prompt: view.prompt ?? "",
    status: view.status,
    progress: view.progress,
    place: view.queue_position,
    waitingFor: waitingText(view.waiting_for),
    error: view.error?.message ?? null,
    createdAt: view.created_at,
    pictures,
  };
}

export function containerBackend(): Backend {
  const job = async (id: string) => toJob(await request<JobView>(`/worker/jobs/${id}`));
  return {
    user: async () => (await request<{ user: User | null }>("/session")).user,
    signIn: async (email, password) =>
      (await request<{ user: User }>("/session", json("POST", { email, password }))).user,
    signOut: async () => void (await request("/session", { method: "DELETE" })),
    createJob: async (wanted) =>
      (await request<{ job_id: string }>("/worker/jobs", json("POST", jobBody(wanted)))).job_id,
    job,
    jobs: async (limit) => (await request<{ jobs: JobView[] }>(`/worker/jobs?limit=${limit}`)).jobs.map(toJob),
    followJob(id, onChange) {
      const events = new EventSource(`/api/worker/jobs/${id}/events`);
      const look = () => void job(id).then(onChange, () => undefined);
      // The browser connects again by itself, and the container sends what was missed.
      for (const name of ["state", "progress", "delivery"]) events.addEventListener(name, look);
      return () => events.close();
    },
    cancelJob: async (id) => void (await request(`/worker/jobs/${id}`, { method: "DELETE" })),
    deleteJob: async (id) => void (await request(`/worker/jobs/${id}/discard?files=true`, { method: "POST" })),
    uploadReference: async (file) =>
      (await request<{ input: string }>("/worker/inputs", { method: "POST", body: file })).input,
    overview: () => request<Overview>("/admin"),
  };
}
