import { updateWorkerUrl } from "./update-worker-url.ts";

Deno.serve(updateWorkerUrl.serve(Deno.env.toObject()));
