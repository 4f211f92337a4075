import { getActiveWorkerUrl } from "./get-active-worker-url.ts";

Deno.serve(getActiveWorkerUrl.serve(Deno.env.toObject()));
