import { join } from "node:path";
import { z } from "zod";
import { modelInvalid } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";
import type { Expert } from "./expert.ts";

const values = z.record(z.string(), z.unknown());
const tiers = z.record(z.string(), values.catch({})).default({}).catch({});

/** As far as parts of the model are needed for it: whether its values are valid is not checked here. */
const generationConfig = z
  .looseObject({ job_types: tiers, sampler_presets: tiers })
  .catch({ job_types: {}, sampler_presets: {} });

/** Names of a parameter, each as it may be written. */
const endNames = ["denoising_end", "denoising_start", "refiner_switch_at"];
const scoreNames = ["aesthetic_score", "negative_aesthetic_score"];

/**
 * A model's own parameters for a refiner, in `generation_config.json`, where nothing in the model takes them: every job that does
 * not set them would fail.
 * @throws PipelineError MODEL_INVALID naming the parameter
 */
export async function checkRefinerDefaults(model: {
  readonly path: string;
  readonly base: Expert;
  readonly refiner: Expert | undefined;
}): Promise<void> {
  const { base, refiner } = model;
  const path = join(model.path, "generation_config.json");
  // What cannot be read is named by those who read all of it.
  const config = await readJson(path, generationConfig).catch(() => undefined);
  if (config === undefined) return;
  const all = [config, ...Object.values(config.job_types), ...Object.values(config.sampler_presets)];
  for (const own of all) {
    const end = refiner ? undefined : endNames.find((name) => isGiven(own[name]) && Number(own[name]) < 1);
    const takesScore = base.takesAestheticScore || refiner?.takesAestheticScore;
    const score = takesScore ? undefined : scoreNames.find((name) => isGiven(own[name]));
    const name = end ?? score;
    if (name === undefined) continue;
    const advice = end === undefined ? "leave it out" : "leave it out, or set it to 1";
    throw modelInvalid(path, `${name} is ${String(own[name])}, but the model has no refiner that takes it: ${advice}`);
  }
}

/** Null is what is not there. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
