import { z } from "zod";

/** What an executor is started with where an external command runs its worker's jobs. */
export const engineSettings = z.object({
  /** The program and its first arguments. */
  command: z.array(z.string()).min(1),
  /** Everything that the command has in its environment: nothing secret, for it travels on a command line. */
  environment: z.record(z.string(), z.string()),
  checkpointsFolder: z.string().optional(),
  task: z.string(),
  timeoutSeconds: z.number().positive().optional(),
  /** The models that the command stands for: jobs that need them are taken without their folders. */
  models: z.array(z.string()),
});
export type EngineSettings = z.output<typeof engineSettings>;

/** By worker. */
export type Engines = ReadonlyMap<string, EngineSettings>;
