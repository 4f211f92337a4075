import type { z } from "zod";
import { PermanentError } from "./errors.ts";
import { namedSizeRule } from "./fields.ts";
import type { FieldProblem } from "./job.ts";
import { describeProblems, invalidJob, parseWith, shortened } from "./problems.ts";
import { schedulerKey } from "./scheduler-names.ts";
import {
  canonicalConfig,
  isGiven,
  isJsonObject,
  type JsonObject,
  nameGiven,
  parseSize,
  synonymsOf,
} from "./synonyms.ts";

/** Where a parameter's value came from: `preset` and `model` are both the model folder's, `system` is the schema's. */
export type ParameterTier = "job" | "preset" | "model" | "handler" | "system";

export interface ParameterTiers {
  /** The job's `config`. */
  readonly explicit: Readonly<JsonObject>;
  /** The model folder's `generation_config.json`, as it is written. */
  readonly model?: Readonly<JsonObject> | undefined;
  /** The job type, for what that file says of single ones. */
  readonly type?: string | undefined;
  /** The handler's `defaults`. */
  readonly handler?: Readonly<JsonObject> | undefined;
}

export interface ResolvedParameters<Values> {
  readonly values: Values;
  /** One entry per key that has a value. */
  readonly tiers: Readonly<Record<string, ParameterTier>>;
}

const sourceOf = {
  job: { prefix: "config", remark: "" },
  preset: { prefix: "generation_config", remark: " (from a sampler preset in the model's generation_config.json)" },
  model: { prefix: "generation_config", remark: " (from the model's generation_config.json)" },
  handler: { prefix: "defaults", remark: " (from the handler's defaults)" },
  system: { prefix: "config", remark: "" },
} as const satisfies Record<ParameterTier, unknown>;

type Tier = readonly [name: ParameterTier, values: JsonObject];

interface Merged {
  readonly values: JsonObject;
  readonly tiers: Record<string, ParameterTier>;
  readonly problems: FieldProblem[];
}

/**
 * Each key of the schema from the first tier that gives it: the job, the model's preset for the scheduler that is used, the
 * model, the handler; the schema's own defaults are the system's. null and absent are "not given"; 0, false and "" are
 * given. Every tier may use any synonym of a name. Width and height are one value: the tier that gives either gives both.
 * @throws PermanentError INVALID_JOB for what the job gave or left out, MODEL_INVALID or HANDLER_INVALID when only the
 *   model's or the handler's own values are wrong
 */
export function resolveParameters<Schema extends z.ZodObject>(
  schema: Schema,
  given: ParameterTiers,
): ResolvedParameters<z.output<Schema>> {
  const names = Object.keys(schema.shape);
  const merged = merge(names, tiersOf(names, given));
  const parsed = parseWith(schema, merged.values);
  if (!parsed.ok || merged.problems.length > 0) {
    throw refusal(parsed.ok ? merged.problems : problemsOf(merged, parsed.problems, given.explicit));
  }
  const used = names.filter((name) => Reflect.get(parsed.value, name) !== undefined);
  return {
    values: parsed.value,
    tiers: Object.fromEntries(used.map((name) => [name, merged.tiers[name] ?? "system"])),
  };
}

/**
 * What is wrong with the parameters of a job before its model is known: a parameter that the schema requires and the
 * handler has no default for is the job's own to give.
 * @param written the job's `config` as it came, for naming the synonym that was used
 */
export function parameterProblems(
  schema: z.ZodObject,
  given: Pick<ParameterTiers, "explicit" | "handler">,
  written = given.explicit,
): readonly FieldProblem[] {
  const names = Object.keys(schema.shape);
  const merged = merge(names, tiersOf(names, given));
  const parsed = parseWith(schema, merged.values);
  return problemsOf(merged, parsed.ok ? [] : parsed.problems, written);
}

/** What applies where a job gives no more than `explicit`: each key that has a value. Not checked: it is for showing. */
export function defaultParameters(schema: z.ZodObject, given: Partial<ParameterTiers>): JsonObject {
  const names = Object.keys(schema.shape);
  const { values } = merge(names, tiersOf(names, { explicit: {}, ...given }));
  for (const name of names.filter((each) => !isGiven(values[each]))) {
    const own = schema.shape[name]?.safeParse(undefined);
    if (own?.success && own.data !== undefined) values[name] = own.data;
  }
  return values;
}

/** Names of the sampler presets in a model's `generation_config.json`: names of schedulers. */
export function presetNames(model: Readonly<JsonObject>): string[] {
  return Object.keys(objectAt(model, "sampler_presets"));
}

/** Keys of `config` that the schema does not read, as they are written. */
export function unreadKeys(schema: z.ZodObject, config: Readonly<JsonObject>): string[] {
  const names = Object.keys(schema.shape);
  const explicit = underNamesOf(names, config);
  const unread = Object.keys(explicit).filter((key) => isGiven(explicit[key]) && !names.includes(key));
  return [...new Set(unread.map((key) => (isGiven(config[key]) ? key : (nameGiven(config, key) ?? key))))];
}

function tiersOf(names: readonly string[], { explicit, model = {}, type = "", handler = {} }: ParameterTiers): Tier[] {
  const { job_types, sampler_presets, ...general } = model;
  const job = underNamesOf(names, explicit);
  const ofModel = {
    ...underNamesOf(names, general),
    ...underNamesOf(names, objectAt(objectAt(model, "job_types"), type)),
  };
  const ofHandler = underNamesOf(names, handler);
  const scheduler = [job, ofModel, ofHandler].map((tier) => tier.scheduler).find(isGiven);
  const preset = names.includes("scheduler") ? presetOf(objectAt(model, "sampler_presets"), scheduler) : {};
  return [
    ["job", job],
    ["preset", underNamesOf(names, preset)],
    ["model", ofModel],
    ["handler", ofHandler],
  ];
}

/** The preset of a scheduler, under any way to write its name. */
function presetOf(presets: Readonly<JsonObject>, scheduler: unknown): JsonObject {
  if (typeof scheduler !== "string") return {};
  const key = Object.keys(presets).find((name) => schedulerKey(name) === schedulerKey(scheduler));
  return key === undefined ? {} : objectAt(presets, key);
}

function objectAt(object: Readonly<JsonObject>, key: string): JsonObject {
  const found = Object.hasOwn(object, key) ? object[key] : undefined;
  return isJsonObject(found) ? found : {};
}

/** A tier under the names that the schema uses, whatever synonyms the tier uses; other keys keep their names. */
function underNamesOf(names: readonly string[], tier: Readonly<JsonObject>): JsonObject {
  const wantsNamedSize = names.includes("size") || names.includes("resolution");
  const sizes = wantsNamedSize ? { size: tier.size, resolution: tier.resolution } : {};
  const result: JsonObject = { ...canonicalConfig(tier), ...sizes };
  for (const name of names) {
    const [canonical = name] = synonymsOf(name);
    if (name === canonical || names.includes(canonical) || !isGiven(result[canonical])) continue;
    result[name] = result[canonical];
    delete result[canonical];
  }
  return result;
}

const pair = ["width", "height"];

function merge(names: readonly string[], tiers: readonly Tier[]): Merged {
  const merged: Merged = { values: {}, tiers: {}, problems: [] };
  const hasPair = pair.every((name) => names.includes(name));
  const alone = names.filter((name) => !hasPair || !pair.includes(name));
  for (const group of [...(hasPair ? [pair] : []), ...alone.map((name) => [name])]) {
    const found = tiers.find(([, values]) => group.some((name) => isGiven(values[name])));
    if (!found) continue;
    const [tier, values] = found;
    for (const name of group) {
      if (isGiven(values[name])) {
        merged.values[name] = values[name];
        merged.tiers[name] = tier;
      } else {
        const other = group.find((candidate) => candidate !== name) ?? name;
        const { prefix, remark } = sourceOf[tier];
        const message = `must be given together with ${prefix}.${other}${remark}`;
        merged.problems.push(clashingSize(names, found, other) ?? { field: `${prefix}.${name}`, message });
      }
    }
  }
  if (hasPair) merged.problems.push(...tiers.flatMap((tier) => unreadableSizes(names, tier)));
  return merged;
}

/** The size beside a lone width or height that it does not agree with; undefined when there is none. */
function clashingSize(names: readonly string[], [tier, values]: Tier, lone: string): FieldProblem | undefined {
  const { prefix, remark } = sourceOf[tier];
  const key = ["size", "resolution"].find((name) => !names.includes(name) && parseSize(values[name]) !== undefined);
  if (key === undefined) return undefined;
  const message = `does not agree with ${prefix}.${lone}, which is ${JSON.stringify(values[lone])}: leave one of them out${remark}`;
  return { field: `${prefix}.${key}`, value: shortened(values[key]), message };
}

/** A size that could be read is width and height by now. */
function unreadableSizes(names: readonly string[], [tier, values]: Tier): FieldProblem[] {
  const { prefix, remark } = sourceOf[tier];
  return ["size", "resolution"]
    .filter((key) => !names.includes(key) && isGiven(values[key]) && parseSize(values[key]) === undefined)
    .map((key) => ({
      field: `${prefix}.${key}`,
      value: shortened(values[key]),
      message: `${namedSizeRule}${remark}`,
    }));
}

/** All that is wrong, each under the name of its tier; what is said of a lone width or height is said once. */
function problemsOf(merged: Merged, problems: readonly FieldProblem[], explicit: Readonly<JsonObject>): FieldProblem[] {
  const named = problems.map((problem) => inTier(problem, merged.tiers, explicit));
  const lone = new Set(merged.problems.map(({ field }) => field));
  return [...named.filter(({ field }) => !lone.has(field)), ...merged.problems];
}

function inTier(
  problem: FieldProblem,
  tiers: Readonly<Record<string, ParameterTier>>,
  written: Readonly<JsonObject>,
): FieldProblem {
  if (problem.field === "job") return { ...problem, field: "config" };
  const name = problem.field.split(".")[0] ?? "";
  const tier = tiers[name] ?? "system";
  const { prefix, remark } = sourceOf[tier];
  const given = tier === "job" ? nameGiven(written, name) : undefined;
  const givenAs = given === undefined || given === name ? "" : ` (given as config.${given})`;
  return { ...problem, field: `${prefix}.${problem.field}`, message: `${problem.message}${remark}${givenAs}` };
}

function refusal(problems: readonly FieldProblem[]): PermanentError {
  const from = (prefix: string) => problems.some(({ field }) => field === prefix || field.startsWith(`${prefix}.`));
  if (from("config")) return invalidJob(problems);
  const [what, code] = from("generation_config")
    ? (["The model's parameters are", "MODEL_INVALID"] as const)
    : (["The handler's defaults are", "HANDLER_INVALID"] as const);
  return new PermanentError(`${what} invalid: ${describeProblems(problems)}`, { code, details: problems });
}
