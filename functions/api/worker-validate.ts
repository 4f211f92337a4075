import { z } from "zod";
import { checkSubjects } from "#contract/check-subjects.ts";
import { declareRoute } from "./declare.ts";

const verdict = z.enum(["ok", "warning", "failed"]);

const check = z.object({
  name: z.string(),
  status: verdict,
  /** What was found, or what is wrong and what to do. */
  message: z.string(),
});

const validation = {
  path: "/worker/validate",
  access: "key",
  summary: "Try everything that a container needs, and say what to do about what fails",
  description:
    "Takes some seconds: executors are started, files written, services used with the container's keys. Who asks meanwhile gets the same answer. A warning does not make it invalid.",
  responses: {
    200: z.object({
      status: z.enum(["valid", "invalid"]),
      /** The worst of each subject; a subject that is not configured is absent. */
      checks: z.partialRecord(z.enum(checkSubjects), verdict),
      details: z.partialRecord(z.enum(checkSubjects), z.array(check)),
    }),
  },
} as const;

/** POST /worker/validate: each part really tried, beside the jobs that run. */
export const validateWorker = declareRoute({ method: "POST", ...validation });

/** GET /worker/validate: the same, for who came to know it so. */
export const readValidation = declareRoute({ method: "GET", ...validation });
