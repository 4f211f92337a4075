import { jobStatus } from "./job-status.ts";

Deno.serve(jobStatus.serve(Deno.env.toObject()));
