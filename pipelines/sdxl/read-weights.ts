import { invalidJob } from "#pipelines/core/errors.ts";
import { parseWeightedPrompt } from "#pipelines/text/weights/combine.ts";
import { WeightError } from "#pipelines/text/weights/weight-error.ts";
import { fragmentsOf, type WeightedPrompt } from "#pipelines/text/weights/weighted-prompt.ts";

/** What a job's prompts are to be read as. */
export interface PromptTexts {
  readonly prompt: string;
  readonly negative_prompt?: string | undefined;
  readonly compel_enabled?: boolean | undefined;
  readonly compel_weights?: string | undefined;
}

/** Both prompts with their weights; a negative prompt that is absent stays so. */
export interface WeightedPair {
  readonly positive: WeightedPrompt;
  readonly negative: WeightedPrompt | undefined;
}

/** `none`: the prompts are plain text. `fallback`: their weights cannot be read, so they are taken for plain text. */
export type Enhancement =
  | { readonly strategy: "none" }
  | { readonly strategy: "compel"; readonly prompts: WeightedPair }
  | { readonly strategy: "fallback"; readonly reason: string };

/**
 * Reads the weights of a job. Costs no model.
 * @throws PipelineError INVALID_JOB when they can be read and ask for more than is allowed
 */
export function readWeights(job: PromptTexts): Enhancement {
  if (job.compel_enabled !== true) return { strategy: "none" };
  const { prompt, negative_prompt, compel_weights = "" } = job;
  try {
    const own = within("prompt", () => parseWeightedPrompt(prompt));
    const hasTerms = compel_weights.trim() !== "";
    const positive = hasTerms ? within("compel_weights", () => parseWeightedPrompt(prompt, compel_weights)) : own;
    const negative =
      negative_prompt === undefined ? undefined : within("negative_prompt", () => parseWeightedPrompt(negative_prompt));
    const isPlain =
      !hasTerms && isAsWritten(positive, prompt) && (negative === undefined || isAsWritten(negative, negative_prompt));
    return isPlain ? { strategy: "none" } : { strategy: "compel", prompts: { positive, negative } };
  } catch (error) {
    if (!(error instanceof WeightError)) throw error;
    if (error.kind === "limit") throw invalidJob(error.message);
    return { strategy: "fallback", reason: `${error.message}: the prompt is taken as plain text` };
  }
}

/** Whether reading it has changed nothing: it has no weights, and no brackets or quotes that were marks. */
function isAsWritten(prompt: WeightedPrompt, written = ""): boolean {
  const fragments = fragmentsOf(prompt);
  const text = fragments.map((fragment) => fragment.text).join("");
  return (
    prompt.parts.length === 1 &&
    prompt.parts[0]?.kind === "prompt" &&
    fragments.every(({ weight }) => weight === 1) &&
    text.replace(/\s/g, "") === written.replace(/\s/g, "")
  );
}

/** Says in which of the job's fields the fault is. */
function within(field: string, read: () => WeightedPrompt): WeightedPrompt {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof WeightError)) throw error;
    throw new WeightError(error.kind, `${field}: ${error.message}`);
  }
}
