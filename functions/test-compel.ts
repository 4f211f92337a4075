import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { findModel } from "#runtime/executor/models.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { testCompel } from "./api/test-compel.ts";
import { defineRoute } from "./http/route.ts";
import { jobSchema } from "./jobs/job-schema.ts";

export const testCompelRoute = defineRoute(testCompel).handle(async ({ body, signal }, runtime) => {
  const { type, model_variant, prompt, negative_prompt, compel_enabled, compel_weights, ...rest } = body;
  const texts = { prompt, negative_prompt, compel_enabled, compel_weights };
  const handler = handlerFor(runtime.registry, type);
  const wanted = model_variant ?? handler.model;
  if (wanted === undefined) throw new CodedError("UNSUPPORTED_OPTION", `${handler.type} uses no model.`);
  const model = await findModel(runtime.config.modelsFolder, wanted);
  const reading = await runtime.prompts.read({ type: handler.type, modelFolder: model.path, texts }, signal);
  return { status: 200, body: { ...reading, type: handler.type, model: model.name, ignored: Object.keys(rest) } };
});

/** @throws CodedError UNKNOWN_JOB_TYPE; UNSUPPORTED_OPTION when it, or none at all, says how it reads prompts */
function handlerFor(registry: Registry, type: string | undefined): Handler {
  const known = registry.types.flatMap((each) => registry.get(each) ?? []);
  const readers = known.filter(({ readPrompt }) => readPrompt !== undefined);
  if (type === undefined) {
    const first = readers.find(takesWeights) ?? readers[0];
    if (first !== undefined) return first;
    throw new CodedError("UNSUPPORTED_OPTION", "No handler of this container says how it reads prompts.");
  }
  const handler = registry.get(type);
  if (handler === undefined) {
    const types = readers.map((reader) => reader.type).join(", ");
    throw new CodedError(
      "UNKNOWN_JOB_TYPE",
      `The job type "${type}" is not known here; those that read prompts: ${types}.`,
    );
  }
  if (handler.readPrompt !== undefined) return handler;
  throw new CodedError("UNSUPPORTED_OPTION", `${type} does not say how it reads prompts.`);
}

function takesWeights(handler: Handler): boolean {
  return "compel_weights" in Object(jobSchema(handler).properties);
}
