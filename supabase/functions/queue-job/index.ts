import { queueJob } from "./queue-job.ts";

Deno.serve(queueJob.serve(Deno.env.toObject()));
