import { defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { findWorker } from "../_shared/edge/workers.ts";
import { CodedError } from "../_shared/errors.ts";
import { parseJson, readBytes, requireJson } from "../_shared/request-body.ts";
import { isJsonObject } from "../_shared/synonyms.ts";

/**
 * A container that was heard of within two minutes, by what it can do. Users learn that there is one; its address is
 * for the app's own servers, which have the key that opens it.
 */
export const getActiveWorkerUrl = defineEdgeFunction({
  name: "get-active-worker-url",
  methods: ["GET", "POST"],
  callers: ["user", "service"],
  async run({ request, caller, database }) {
    const capability = request.method === "GET" ? fromQuery(request) : fromBody(await bodyOf(request));
    const worker = await findWorker(database, capability);
    if (worker === null) {
      const what = capability === null ? "" : ` for ${JSON.stringify(capability)}`;
      throw new CodedError("NO_ACTIVE_WORKER", `No container${what} has registered within the last two minutes.`);
    }
    const { capabilities, last_seen_at, worker_id, url, version } = worker;
    const known = { success: true, capabilities, last_seen_at };
    return { status: 200, body: caller.kind === "user" ? known : { ...known, worker_url: url, worker_id, version } };
  },
});

function fromQuery(request: Request): string | null {
  return checked(new URL(request.url).searchParams.get("capability"));
}

/** Clients that always POST may leave the body out. */
async function bodyOf(request: Request): Promise<unknown> {
  const bytes = await readBytes(request, 4096);
  if (bytes.length === 0) return {};
  requireJson(request.headers);
  return parseJson(bytes);
}

function fromBody(body: unknown): string | null {
  return checked(isJsonObject(body) ? (body.capability ?? null) : null);
}

function checked(capability: unknown): string | null {
  if (capability === null || capability === "") return null;
  if (typeof capability === "string" && /^[a-z0-9_]{1,64}$/.test(capability)) return capability;
  throw new CodedError("INVALID_REQUEST", "capability must be the name of a job type, such as sdxl_image_fast.");
}
