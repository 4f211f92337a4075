import { z } from "zod";
import { modelInvalid, unsupportedOption } from "#pipelines/core/errors.ts";
import { EulerDiscreteScheduler, eulerDiscreteConfig } from "./euler-discrete.ts";
import type { Scheduler } from "./scheduler.ts";

/** Schedulers by diffusers' class name. */
const factories = {
  EulerDiscreteScheduler: (config: unknown) => new EulerDiscreteScheduler(eulerDiscreteConfig.parse(config)),
} as const satisfies Record<string, (config: unknown) => Scheduler>;

/** Names that people use for them. */
const friendlyNames = {
  euler: "EulerDiscreteScheduler",
} as const satisfies Record<string, keyof typeof factories>;

export type SchedulerName = keyof typeof factories | keyof typeof friendlyNames;

/** Every name that {@link createScheduler} knows: friendly names first, then class names. */
export const schedulerNames: readonly string[] = Object.freeze([
  ...Object.keys(friendlyNames),
  ...Object.keys(factories),
]);

/**
 * Makes a scheduler by diffusers' class name or by a friendly name (`euler`, in any case).
 * @param config the parsed `scheduler_config.json` of the model, whichever class wrote it
 * @param configPath for messages
 * @throws PipelineError UNSUPPORTED_OPTION for an unknown name, MODEL_INVALID for a config that cannot be
 */
export function createScheduler(name: string, config: unknown, configPath: string): Scheduler {
  const className = isFriendly(name.toLowerCase());
  const factory = Object.entries(factories).find(([known]) => known === (className ?? name))?.[1];
  if (factory === undefined) {
    throw unsupportedOption(`unknown scheduler "${name}"; there are: ${schedulerNames.join(", ")}`);
  }
  try {
    return factory(config);
  } catch (error) {
    if (error instanceof z.ZodError) throw modelInvalid(configPath, z.prettifyError(error), error);
    throw error;
  }
}

function isFriendly(name: string): keyof typeof factories | undefined {
  return Object.entries(friendlyNames).find(([known]) => known === name)?.[1];
}
