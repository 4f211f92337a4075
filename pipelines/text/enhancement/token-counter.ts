import { join } from "node:path";
import type { CountTokens } from "./fit.ts";
import type { EnhancementTarget } from "./preset.ts";

interface Folder {
  readonly path: string;
  readonly version: string;
}

/** The latest of each target: a tokenizer takes seconds to read and a few megabytes to keep. */
const kept = new Map<EnhancementTarget, Folder & { readonly counter: Promise<CountTokens> }>();

/**
 * Counts tokens as the model in a folder of this family does, begin and end left out; the encoder that needs most counts.
 * @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID
 */
export async function tokenCounter(target: EnhancementTarget, { path, version }: Folder): Promise<CountTokens> {
  const before = kept.get(target);
  if (before !== undefined && before.path === path && before.version === version) return await before.counter;
  const counter = target === "sdxl" ? clipCounter(path) : umt5Counter(path);
  kept.set(target, { path, version, counter });
  counter.catch(() => kept.delete(target));
  return await counter;
}

async function clipCounter(folder: string): Promise<CountTokens> {
  const [{ readModelFolder }, { ClipTokenizer }] = await Promise.all([
    import("#pipelines/sdxl/model-folder.ts"),
    import("../clip-tokenizer.ts"),
  ]);
  const { base } = await readModelFolder(folder);
  const tokenizers = await Promise.all(
    base.textEncoders.map(({ tokenizer }) => ClipTokenizer.load(join(folder, tokenizer))),
  );
  return (text) => Math.max(...tokenizers.map((tokenizer) => tokenizer.encode(text).length));
}

async function umt5Counter(folder: string): Promise<CountTokens> {
  const [{ T5Tokenizer }, { cleanPrompt }, { maxPromptTokens }] = await Promise.all([
    import("../t5-tokenizer.ts"),
    import("../clean-prompt.ts"),
    import("#pipelines/wan/prompt-encoder.ts"),
  ]);
  const tokenizer = await T5Tokenizer.load(join(folder, "tokenizer"));
  return (text) => {
    const { length, cutTokens } = tokenizer.encode(cleanPrompt(text), maxPromptTokens);
    // The end mark is no token of the prompt.
    return length - 1 + cutTokens;
  };
}
