import { z } from "zod";
import { attemptLog } from "#contract/attempt-log.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobParams } from "./schemas/parameters.ts";

export const getAttemptLog = declareRoute({
  method: "GET",
  path: "/jobs/:id/attempts/:attempt/log",
  access: "key",
  summary: "The last lines that an attempt has printed",
  description:
    "At most 100, while it runs and after its end. They are with the container that ran the attempt, and with those that share its data folder.",
  params: jobParams.extend({ attempt: z.coerce.number("must be a number").int().min(1).max(1_000_000) }),
  responses: { 200: attemptLog },
  errors: ["JOB_NOT_FOUND", "NOT_FOUND", ...queueErrors],
});
