/** The states of a job, as every part of the product and the API name them. */
export const jobStatuses = ["queued", "running", "completed", "failed", "cancelled"] as const;

/** How one attempt of a job ended, or that it runs. */
export const attemptOutcomes = [
  "running",
  "completed",
  "retried",
  "failed",
  "released",
  "cancelled",
  "expired",
] as const;
