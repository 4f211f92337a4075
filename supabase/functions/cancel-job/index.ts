import { cancelJob } from "./cancel-job.ts";

Deno.serve(cancelJob.serve(Deno.env.toObject()));
