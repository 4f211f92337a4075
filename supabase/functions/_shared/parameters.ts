import type { z } from "zod";
import { PermanentError } from "./errors.ts";
import type { FieldProblem } from "./job.ts";
import { describeProblems, invalidJob, parseWith } from "./problems.ts";
import { canonicalConfig, isGiven, type JsonObject, synonymsOf } from "./synonyms.ts";

/** Where a parameter's value came from. */
export type ParameterTier = "job" | "model" | "handler" | "system";

export interface ParameterTiers {
  /** The job's `config`. */
  readonly explicit: Readonly<JsonObject>;
  /** The model folder's `generation_config.json`. */
  readonly model?: Readonly<JsonObject> | undefined;
  /** The handler's `defaults`. */
  readonly handler?: Readonly<JsonObject> | undefined;
}

export interface ResolvedParameters<Values> {
  readonly values: Values;
  /** One entry per key that has a value. */
  readonly tiers: Readonly<Record<string, ParameterTier>>;
  /** Keys that the job gave and the schema does not read. */
  readonly ignored: readonly string[];
}

/** Read by the queue and the delivery and not by the inference. */
const deliveryKeys = new Set(["expected_time", "expires_in_seconds", "content_type", "file_extension"]);

const sourceOf = {
  job: { prefix: "config", remark: "" },
  model: { prefix: "generation_config", remark: " (from the model's generation_config.json)" },
  handler: { prefix: "defaults", remark: " (from the handler's defaults)" },
  system: { prefix: "config", remark: "" },
} as const satisfies Record<ParameterTier, unknown>;

interface Merged {
  readonly values: JsonObject;
  readonly tiers: Record<string, ParameterTier>;
  readonly problems: FieldProblem[];
}

/**
 * Each key of the schema from the first tier that gives it: the job, the model, the handler; the schema's own defaults
 * are the system's. null and absent are "not given"; 0, false and "" are given. Every tier may use any synonym of a
 * name. Width and height are one value: the tier that gives either gives both.
 * @throws PermanentError INVALID_JOB for what the job gave or left out, MODEL_INVALID or HANDLER_INVALID when only the
 *   model's or the handler's own values are wrong
 */
export function resolveParameters<Schema extends z.ZodObject>(
  schema: Schema,
  tiers: ParameterTiers,
): ResolvedParameters<z.output<Schema>> {
  const names = Object.keys(schema.shape);
  const explicit = underNamesOf(names, tiers.explicit);
  const merged = merge(names, [
    ["job", explicit],
    ["model", underNamesOf(names, tiers.model ?? {})],
    ["handler", underNamesOf(names, tiers.handler ?? {})],
  ]);
  const parsed = parseWith(schema, merged.values);
  if (!parsed.ok || merged.problems.length > 0) {
    const lone = new Set(merged.problems.map(({ field }) => field));
    const problems = parsed.ok ? [] : parsed.problems.map((problem) => inTier(problem, merged.tiers));
    throw refusal([...problems.filter(({ field }) => !lone.has(field)), ...merged.problems]);
  }
  const used = names.filter((name) => Reflect.get(parsed.value, name) !== undefined);
  return {
    values: parsed.value,
    tiers: Object.fromEntries(used.map((name) => [name, merged.tiers[name] ?? "system"])),
    ignored: ignoredOf(names, explicit),
  };
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

function merge(names: readonly string[], tiers: readonly (readonly [ParameterTier, JsonObject])[]): Merged {
  const merged: Merged = { values: {}, tiers: {}, problems: [] };
  for (const group of groupsOf(names)) {
    const found = tiers.find(([, values]) => group.some((name) => isGiven(values[name])));
    if (!found) continue;
    const [tier, values] = found;
    for (const name of group) {
      if (isGiven(values[name])) {
        merged.values[name] = values[name];
        merged.tiers[name] = tier;
      } else {
        const other = group.find((candidate) => candidate !== name);
        const { prefix, remark } = sourceOf[tier];
        const message = `must be given together with ${prefix}.${other}${remark}`;
        merged.problems.push({ field: `${prefix}.${name}`, message });
      }
    }
  }
  return merged;
}

function groupsOf(names: readonly string[]): readonly (readonly string[])[] {
  const pair = ["width", "height"];
  if (!pair.every((name) => names.includes(name))) return names.map((name) => [name]);
  return [pair, ...names.filter((name) => !pair.includes(name)).map((name) => [name])];
}

function inTier(problem: FieldProblem, tiers: Readonly<Record<string, ParameterTier>>): FieldProblem {
  if (problem.field === "job") return { ...problem, field: "config" };
  const { prefix, remark } = sourceOf[tiers[problem.field.split(".")[0] ?? ""] ?? "system"];
  return { ...problem, field: `${prefix}.${problem.field}`, message: `${problem.message}${remark}` };
}

function ignoredOf(names: readonly string[], explicit: JsonObject): string[] {
  return Object.keys(explicit).filter(
    (key) => isGiven(explicit[key]) && !names.includes(key) && !deliveryKeys.has(key),
  );
}

function refusal(problems: readonly FieldProblem[]): PermanentError {
  const from = (prefix: string) => problems.some(({ field }) => field === prefix || field.startsWith(`${prefix}.`));
  if (from("config")) return invalidJob(problems);
  const [what, code] = from("generation_config")
    ? (["The model's parameters are", "MODEL_INVALID"] as const)
    : (["The handler's defaults are", "HANDLER_INVALID"] as const);
  return new PermanentError(`${what} invalid: ${describeProblems(problems)}`, { code, details: problems });
}
