import { jobCallbackFunction } from "./job-callback.ts";

Deno.serve(jobCallbackFunction.serve(Deno.env.toObject()));
