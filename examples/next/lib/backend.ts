/*
 * What the app needs of the other side. The pages know this alone: supabase-backend.ts is a Supabase project, and
 * container-backend.ts one container without any, through this app's own server.
 */
export interface User {
  readonly id: string;
  readonly email: string;
}

export type JobStatus = "queued" | "running" | "completed" | "failed" | "cancelled";

export interface Picture {
  readonly index: number;
  readonly type: "image" | "video" | "text";
  /** Addresses that can be opened for a while. */
  readonly url: string;
  readonly thumbnailUrl: string;
}

export interface Job {
  readonly id: string;
  readonly prompt: string;
  readonly status: JobStatus;
  /** 0 to 1; null before it runs. */
  readonly progress: number | null;
  /** Its place in the queue while it waits: 1 goes next. */
  readonly place: number | null;
  /** What it needs and no container offers now. */
  readonly waitingFor: string | null;
  readonly error: string | null;
  readonly createdAt: string;
  readonly pictures: readonly Picture[];
}

export interface NewJob {
  readonly prompt: string;
  /** `input:<sha256>`: a picture that the user has uploaded. */
  readonly reference?: string;
}

export interface Overview {
  readonly queues: readonly {
    readonly queue: string;
    readonly queued: number;
    readonly running: number;
    readonly failed: number;
  }[];
  readonly containers: readonly string[];
}

/** Every method throws an error whose message is for the user. */
export interface Backend {
  user(): Promise<User | null>;
  signIn(email: string, password: string): Promise<User>;
  signOut(): Promise<void>;
  /** Returns the job's id. */
  createJob(job: NewJob): Promise<string>;
  job(id: string): Promise<Job>;
  /** The newest first. */
  jobs(limit: number): Promise<readonly Job[]>;
  /** Calls back with every change, to the end. Returns what stops it. */
  followJob(id: string, onChange: (job: Job) => void): () => void;
  cancelJob(id: string): Promise<void>;
  /** One that has ended, with its files. */
  deleteJob(id: string): Promise<void>;
  /** Returns how jobs name the file. */
  uploadReference(file: File): Promise<string>;
  /** For administrators. */
  overview(): Promise<Overview>;
}

export const isEnded = ({ status }: Job): boolean => !["queued", "running"].includes(status);

export const jobType = "sdxl_image_fast";

/** As both kinds of server write it. */
export function jobBody({ prompt, reference }: NewJob): object {
  const metadata = reference === undefined ? {} : { reference_image_url: reference };
  return { type: jobType, prompt, metadata };
}

export function waitingText(need: { readonly type: string; readonly model: string | null } | null): string | null {
  if (need === null) return null;
  return need.model === null ? need.type : `${need.type} with the model ${need.model}`;
}

/** What the server answered, which is not checked again; the sentence of a refusal is thrown. */
export async function answerOf<Answer>(response: Response): Promise<Answer> {
  const text = await response.text();
  const body = text.startsWith("{") ? JSON.parse(text) : {};
  if (!response.ok) throw new Error(body.error ?? `The server answered ${response.status}.`);
  return body;
}

export async function sha256Of(file: File): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
