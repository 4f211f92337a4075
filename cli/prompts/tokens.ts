import { CodedError } from "#contract/errors.ts";
import { currentJobType } from "#contract/job-types.ts";
import { unknownJobType } from "#contract/problems.ts";
import type { PromptReading } from "#contract/prompt-reading.ts";
import { findModel } from "#runtime/executor/models.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { PromptReader } from "#runtime/prompts/prompt-reader.ts";
import { exitCodes, usageError } from "../errors.ts";
import { printResult } from "../output.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, openLog, readSettings } from "../settings.ts";
import { withPipedPrompt } from "./piped-prompt.ts";

export interface TokensOptions extends GlobalOptions {
  readonly model?: string;
  readonly negative?: string;
  readonly weights?: string;
  readonly plain?: boolean;
}

type Reading = PromptReading & { readonly type: string; readonly model: string };
type Texts = ReturnType<typeof textsOf>;

/** The body of `ourvidz tokens`. */
export async function tokens([given = "", ...words]: readonly string[], options: TokensOptions): Promise<number> {
  const type = currentJobType(given);
  const texts = textsOf(await withPipedPrompt(words), options);
  const client = await remoteClient(options);
  const model = options.model === undefined ? {} : { model_variant: options.model };
  const reading =
    client === null ? await readHere(type, texts, options) : await client.readPrompt({ type, ...model, ...texts });
  printResult(options, reading, describe(reading));
  return exitCodes.completed;
}

function textsOf(words: readonly string[], { negative, weights, plain }: TokensOptions) {
  return {
    prompt: words.join(" "),
    compel_enabled: !plain,
    ...(negative === undefined ? {} : { negative_prompt: negative }),
    ...(weights === undefined ? {} : { compel_weights: weights }),
  };
}

/** As a container reads it: in a process of its own, where the handler's code runs. */
async function readHere(type: string, texts: Texts, options: TokensOptions): Promise<Reading> {
  const config = await readSettings(options, { serves: false });
  const registry = await loadHandlers(config.handlersFolder);
  const handler = registry.get(type);
  if (handler === undefined) throw unknownJobType(type, registry.types);
  if (handler.readPrompt === undefined)
    throw new CodedError("UNSUPPORTED_OPTION", `${type} does not say how it reads prompts.`);
  const wanted = options.model ?? handler.model;
  if (wanted === undefined) throw usageError(`${type} has no model of its own: name one with --model.`);
  const model = await findModel(config.modelsFolder, wanted);
  const { handlersFolder, leaseSeconds } = config;
  const reader = new PromptReader({ log: await openLog(config), handlersFolder, stoppedMaxMs: leaseSeconds * 1000 });
  try {
    const question = { type, modelFolder: model.path, texts };
    return { ...(await reader.read(question, new AbortController().signal)), type, model: model.name };
  } finally {
    reader.stop();
  }
}

function describe({ texts, model, fallback_reason: fallback }: Reading): string {
  const lines = texts.flatMap((text) => [
    `${text.field.replaceAll("_", " ")}: ${counts(text)}`,
    ...text.encoders.map(({ name, tokens: count }) => `  ${name}: ${inTokens(count)}`),
    ...cutLines(text),
    ...text.fragments.flatMap(({ text: run, weight }) => (weight === 1 ? [] : [`  weight ${weight}: ${run}`])),
  ]);
  return [`model: ${model}`, ...lines, ...(fallback === undefined ? [] : [`read without weights: ${fallback}`])].join(
    "\n",
  );
}

function counts({ encoders, chunks, max_tokens: limit }: Reading["texts"][number]): string {
  const count = inTokens(Math.max(0, ...encoders.map((encoder) => encoder.tokens)));
  const inChunks = `in ${chunks} ${chunks === 1 ? "chunk" : "chunks"}`;
  return limit === null ? `${count} ${inChunks}` : `${count}, ${limit} are read`;
}

function cutLines({ cut_tokens: cut, max_tokens: limit, tokens: all }: Reading["texts"][number]): string[] {
  if (cut === 0) return [];
  const lost =
    limit === null
      ? ""
      : all
          .slice(limit)
          .map(({ text }) => text)
          .join(" ");
  return [`  not read: the last ${cut}${lost === "" ? "" : ` (${lost} …)`}`];
}

function inTokens(count: number): string {
  return `${count} ${count === 1 ? "token" : "tokens"}`;
}
