/** What a check is about, as `/worker/validate` sums it up. `app`: what tells the app of its jobs and of this container. */
export const checkSubjects = [
  "environment_variables",
  "model_paths",
  "gpu_availability",
  "dependencies",
  "handlers",
  "queue",
  "storage",
  "ffmpeg",
  "app",
] as const;
