import type { SupabaseClient } from "@supabase/supabase-js";
import { serviceHeaders } from "./service-headers.ts";

/*
 * The library @supabase/supabase-js for what a container asks of a Supabase project: functions of its database, and its
 * storage. It is loaded by the first call, since it brings logins and live channels along that a container has no use for.
 */
export interface Project {
  readonly url: string;
  readonly serviceKey: string;
}

/** A client that makes its requests by `send`, with the service key and nothing else. */
export class ProjectClient {
  readonly #project: Project;
  readonly #send: typeof fetch;
  #loading: Promise<SupabaseClient> | undefined;

  constructor(project: Project, send: typeof fetch = (input, init) => fetch(input, init)) {
    this.#project = project;
    this.#send = send;
  }

  get(): Promise<SupabaseClient> {
    this.#loading ??= this.#load();
    return this.#loading;
  }

  async #load(): Promise<SupabaseClient> {
    const { createClient } = await import("@supabase/supabase-js");
    const { url, serviceKey } = this.#project;
    return createClient(url, serviceKey, {
      // Nobody is signed in, so the part that keeps sessions is not made.
      accessToken: async () => null,
      // Whoever calls decides what is repeated, and when.
      db: { retry: false },
      global: { fetch: (input, init) => this.#send(input, { ...init, headers: withKey(init?.headers, serviceKey) }) },
    });
  }
}

/** The library sends every key as a bearer token too: one that is no JWT would be refused by whoever expects one. */
function withKey(given: RequestInit["headers"], serviceKey: string): Headers {
  const headers = new Headers(given);
  headers.delete("authorization");
  for (const [name, value] of Object.entries(serviceHeaders(serviceKey))) headers.set(name, value);
  return headers;
}
