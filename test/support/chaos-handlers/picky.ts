import { CodedError } from "#contract/errors.ts";
import { defineHandler } from "#contract/handler.ts";
import patient from "./patient.ts";

/** As patient, but one of the containers lacks what it needs: a condition of the container, which fails no job. */
export default defineHandler({
  ...patient,
  type: "picky",
  run(job, ctx) {
    if (process.env.WORKER_ID === "container-2") {
      throw new CodedError("MODEL_NOT_FOUND", "This container has no model for jobs of type picky.");
    }
    return patient.run(job, ctx);
  },
});
