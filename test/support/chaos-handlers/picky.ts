import { CodedError } from "#contract/errors.ts";
import { defineHandler } from "#contract/handler.ts";
import steady from "./steady.ts";

/** As steady, but one of the containers lacks what it needs: a condition of the container, which fails no job. */
export default defineHandler({
  ...steady,
  type: "picky",
  run(job, ctx) {
    if (process.env.WORKER_ID === "container-2") {
      throw new CodedError("MODEL_NOT_FOUND", "This container has no model for jobs of type picky.");
    }
    return steady.run(job, ctx);
  },
});
