import { z } from "zod";
import { modelInvalid, unsupportedOption } from "#pipelines/core/errors.ts";
import { misfits } from "#pipelines/core/json-file.ts";
import { FlowDpmSolverScheduler } from "./dpm-solver-multistep.ts";
import { flowConfig, flowShift as shiftOf } from "./flow-config.ts";
import { FlowMatchEulerDiscreteScheduler } from "./flow-match-euler-discrete.ts";
import { factories, friendlyNames, type SchedulerOptions } from "./registry.ts";
import { type SamplerNames, samplerNames } from "./sampler-names.ts";
import type { Scheduler } from "./scheduler.ts";
import { FlowUniPcScheduler } from "./unipc-multistep.ts";

type Factory = (config: unknown, options: SchedulerOptions) => Scheduler;

interface Names {
  /** By diffusers' class name. */
  readonly classes: Readonly<Record<string, Factory>>;
  /** By the names that people use. */
  readonly friendly: Readonly<Record<string, { readonly className: string; readonly config: object }>>;
}

/** Every name that {@link createScheduler} knows: friendly names first, then class names. */
export const schedulerNames: readonly string[] = Object.freeze([
  ...Object.keys(friendlyNames),
  ...Object.keys(factories),
]);

/** Schedulers of models that predict a flow, by diffusers' class name. */
const flowFactories = {
  UniPCMultistepScheduler: (config: unknown) => new FlowUniPcScheduler(flowConfig.parse(config)),
  DPMSolverMultistepScheduler: (config: unknown) => new FlowDpmSolverScheduler(flowConfig.parse(config)),
  FlowMatchEulerDiscreteScheduler: (config: unknown) => new FlowMatchEulerDiscreteScheduler(flowConfig.parse(config)),
} as const satisfies Record<string, Factory>;

const flowFriendlyNames = {
  unipc: { className: "UniPCMultistepScheduler", config: {} },
  "dpm++": { className: "DPMSolverMultistepScheduler", config: {} },
  euler: { className: "FlowMatchEulerDiscreteScheduler", config: {} },
} as const satisfies Record<string, { className: keyof typeof flowFactories; config: object }>;

/** Every name that {@link createFlowScheduler} knows: friendly names first, then class names. */
export const flowSchedulerNames: readonly string[] = Object.freeze([
  ...Object.keys(flowFriendlyNames),
  ...Object.keys(flowFactories),
]);

/**
 * Makes a scheduler by diffusers' class name or by a friendly name (`euler_a`, in any case).
 * @param config the parsed `scheduler_config.json` of the model, whichever class wrote it: keys that the class does not have
 *   count nothing, as in diffusers
 * @param configPath for messages
 * @throws PipelineError UNSUPPORTED_OPTION for an unknown name or a variant that is not here, MODEL_INVALID for a config
 *   that cannot be
 */
export function createScheduler(
  name: string,
  config: unknown,
  configPath: string,
  options: SchedulerOptions = {},
): Scheduler {
  return create(name, { classes: factories, friendly: friendlyNames }, config, configPath, options);
}

/** What other tools call the scheduler that {@link createScheduler} makes of the same name and config. */
export function samplerOf(name: string, config: unknown): SamplerNames {
  const named = Object.entries(friendlyNames).find(([short]) => short === name.toLowerCase())?.[1];
  const own = z.record(z.string(), z.unknown()).catch({}).parse(config);
  return samplerNames(named?.className ?? name, { ...own, ...named?.config });
}

/**
 * Makes the scheduler of a model that predicts a flow, as WAN does.
 * @param name diffusers' class name or a friendly one (`unipc`, `dpm++`, `euler`, in any case); without one the class that
 *   wrote the config
 * @param config the parsed `scheduler_config.json`, whichever class wrote it: the run is a flow one in any case, and
 *   `flow_shift` and `shift` are the same
 * @param configPath for messages
 * @param options `flowShift` replaces the config's shift
 * @throws PipelineError UNSUPPORTED_OPTION for an unknown name or a variant that is not here, MODEL_INVALID for a config
 *   that cannot be
 */
export function createFlowScheduler(
  name: string | undefined,
  config: unknown,
  configPath: string,
  options: { readonly flowShift?: number | undefined } = {},
): Scheduler {
  const { flowShift } = options;
  const effective = flowShift === undefined ? config : { ...withClass.parse(config), flow_shift: flowShift };
  const names = { classes: flowFactories, friendly: flowFriendlyNames };
  return create(name ?? classOf(config, configPath), names, effective, configPath, {});
}

/** How far a run of such a scheduler is moved towards noise: what `options` has, else the config's own shift, else 1. */
export function flowShiftOf(config: unknown, options: { readonly flowShift?: number | undefined } = {}): number {
  return options.flowShift ?? shiftOf(flowConfig.parse(config));
}

const withClass = z.looseObject({ _class_name: z.string().optional() }).catch({});

function classOf(config: unknown, configPath: string): string {
  const className = withClass.parse(config)._class_name;
  if (className !== undefined) return className;
  throw modelInvalid(configPath, "there is no _class_name; copy the file from the model again, or name a scheduler");
}

function create(
  name: string,
  { classes, friendly }: Names,
  config: unknown,
  configPath: string,
  options: SchedulerOptions,
): Scheduler {
  const named = Object.entries(friendly).find(([short]) => short === name.toLowerCase())?.[1];
  const className = named?.className ?? name;
  const factory = Object.entries(classes).find(([full]) => full === className)?.[1];
  if (factory === undefined) {
    const names = [...Object.keys(friendly), ...Object.keys(classes)];
    throw unsupportedOption(`unknown scheduler "${name}"; there are: ${names.join(", ")}`);
  }
  const isObject = typeof config === "object" && config !== null && !Array.isArray(config);
  try {
    return factory(isObject && named !== undefined ? { ...config, ...named.config } : config, options);
  } catch (error) {
    if (error instanceof z.ZodError) throw modelInvalid(configPath, misfits(error), error);
    throw error;
  }
}
