import { deleteJob } from "./delete-job.ts";

Deno.serve(deleteJob.serve(Deno.env.toObject()));
