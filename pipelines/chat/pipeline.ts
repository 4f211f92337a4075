import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { modelInvalid, unsupportedOption } from "#pipelines/core/errors.ts";
import { Component, hasCudaLibrary, type SessionSettings } from "#pipelines/core/onnx.ts";
import { CachedDecoder } from "./cached-decoder.ts";
import { ChatTemplate, findTemplate } from "./chat-template.ts";
import { fitConversation, fitText } from "./conversation.ts";
import { chooseGraph, type GraphFile, type RoomForGraph } from "./graph-files.ts";
import { type ChatModelFolder, readModelFolder } from "./model-folder.ts";
import type { ChatControl, ChatRequest, ChatResult, LanguageModel } from "./request.ts";
import { TokenSampler } from "./sampler.ts";
import { StopTexts } from "./stop-texts.ts";
import type { TokenCache } from "./token-cache.ts";
import { TokenText } from "./token-text.ts";
import { ChatTokenizer } from "./tokenizer.ts";

export interface ChatSettings extends SessionSettings, RoomForGraph {
  /** Tokens of a prompt that are read in one run, within which nothing can be aborted. */
  readonly partTokens?: number | undefined;
}

/** What a loaded model consists of. */
interface Parts {
  readonly model: ChatModelFolder;
  readonly graph: GraphFile;
  readonly component: Component;
  readonly decoder: CachedDecoder;
  readonly tokenizer: ChatTokenizer;
  readonly template: ChatTemplate | undefined;
  readonly endIds: ReadonlySet<number>;
}

interface Prompt {
  readonly ids: readonly number[];
  readonly droppedTurns: number;
  readonly droppedExamples: number;
}

/** A causal language model of a local folder, as transformers' `generate` computes it. */
export class ChatPipeline implements LanguageModel {
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Opens a model folder and loads the file that the device runs best.
   * @throws PipelineError MODEL_NOT_FOUND, MODEL_UNSUITABLE, MODEL_INVALID, MODEL_TOO_LARGE, DEVICE_LOST or DEVICE_FAULT
   */
  static async load(folder: string, settings: ChatSettings = {}): Promise<ChatPipeline> {
    const model = await readModelFolder(folder);
    const tokenizer = await ChatTokenizer.load(folder);
    const endIds = endIdsOf(model, tokenizer);
    const source = await findTemplate(folder);
    const template = source && (await ChatTemplate.open(source, tokenizer.marks));
    try {
      const device = settings.executionProvider !== "cpu" && hasCudaLibrary() ? "cuda" : "cpu";
      const graph = await chooseGraph(folder, model.graphs, device, settings);
      const component = await Component.load(join(folder, graph.file), settings);
      const decoder = new CachedDecoder(component, model.vocabularySize, settings.partTokens);
      return new ChatPipeline({ model, graph, component, decoder, tokenizer, template, endIds });
    } catch (error) {
      await template?.dispose();
      throw error;
    }
  }

  /** What the folder's small files say. */
  get model(): ChatModelFolder {
    return this.#parts.model;
  }

  /** The file that was loaded, of those that the folder has. */
  get graph(): GraphFile {
    return this.#parts.graph;
  }

  /** Where the model runs. */
  get executionProvider(): "cpu" | "cuda" {
    return this.#parts.component.executionProvider;
  }

  /** Why it runs on the CPU although CUDA's library is installed. */
  get cudaProblem(): string | undefined {
    return this.#parts.component.cudaProblem;
  }

  /** Time spent inside ONNX Runtime since loading: all the rest is this code's own. */
  get millisecondsInRun(): number {
    return this.#parts.component.millisecondsInRun;
  }

  countTokens(text: string): number {
    return this.#parts.tokenizer.encode(text, false).length;
  }

  async generate(request: ChatRequest, control: ChatControl): Promise<ChatResult> {
    const start = performance.now();
    const { decoder, tokenizer } = this.#parts;
    const prompt = await this.#promptOf(request);
    const seed = request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const sampler = new TokenSampler(request, seed, prompt.ids);
    const answer = new Answer(
      new TokenText((ids) => tokenizer.decode(ids)),
      new StopTexts(request.stop ?? []),
      control,
    );
    const limit = Math.min(request.maxTokens, this.#parts.model.contextTokens - prompt.ids.length);
    const cache = decoder.start();
    try {
      let scores: Float32Array = await this.#readPrompt(prompt.ids, cache, control.signal);
      const prefillSeconds = secondsSince(start);
      for (;;) {
        const token = sampler.next(scores);
        answer.add(token, this.#parts.endIds.has(token));
        if (answer.ended || answer.tokens === limit) break;
        await pause(control.signal);
        scores = await decoder.read(Int32Array.of(token), cache);
      }
      const { ids, ...dropped } = prompt;
      return {
        ...answer.finish(),
        promptTokens: ids.length,
        ...dropped,
        seed,
        generationSeconds: secondsSince(start),
        prefillSeconds,
      };
    } finally {
      cache.release();
    }
  }

  /** Gives all memory back; the pipeline cannot run any more. */
  async dispose(): Promise<void> {
    await this.#parts.template?.dispose();
    await this.#parts.component.dispose();
  }

  async #readPrompt(ids: readonly number[], cache: TokenCache, signal: AbortSignal): Promise<Float32Array> {
    let scores: Float32Array = new Float32Array(0);
    for (const part of this.#parts.decoder.partsOf(ids)) {
      await pause(signal);
      scores = await this.#parts.decoder.read(part, cache);
    }
    await pause(signal);
    return scores;
  }

  /** Half of the context at most is kept free for the answer. */
  async #promptOf(request: ChatRequest): Promise<Prompt> {
    const { tokenizer, template, model } = this.#parts;
    const room = model.contextTokens - Math.min(request.maxTokens, Math.floor(model.contextTokens / 2));
    if (request.messages !== undefined) {
      if (template === undefined) {
        throw unsupportedOption(
          "The model has no chat template, so it takes no messages: send a prompt, or put chat_template.jinja into its folder.",
        );
      }
      const fitted = await fitConversation(request.messages, room, {
        read: async (messages) => tokenizer.encode(await template.render(messages), false),
        countTokens: (text) => this.countTokens(text),
      });
      return { ...fitted, droppedExamples: 0 };
    }
    return { ...fitText(request, room, (text) => tokenizer.encode(text, true)), droppedTurns: 0 };
  }
}

/** The answer as it grows. */
class Answer {
  readonly #text: TokenText;
  readonly #stops: StopTexts;
  readonly #control: ChatControl;
  #written = "";
  #tokens = 0;
  #ended = false;

  constructor(text: TokenText, stops: StopTexts, control: ChatControl) {
    this.#text = text;
    this.#stops = stops;
    this.#control = control;
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** The model's end mark came, or a stop text. */
  get ended(): boolean {
    return this.#ended;
  }

  add(token: number, isEnd: boolean): void {
    this.#tokens++;
    if (isEnd) this.#ended = true;
    else this.#take(this.#text.push(token));
    this.#control.onToken?.(this.#tokens);
  }

  finish(): Pick<ChatResult, "text" | "tokensGenerated" | "finishReason"> {
    const finishReason = this.#ended ? "stop" : "length";
    // A stop text may be in what was held back of a character.
    this.#take(this.#text.end());
    this.#give(this.#stops.end());
    return { text: this.#written, tokensGenerated: this.#tokens, finishReason };
  }

  #take(piece: string): void {
    const { text, ended } = this.#stops.push(piece);
    if (ended) this.#ended = true;
    this.#give(text);
  }

  #give(text: string): void {
    if (text === "") return;
    this.#written += text;
    this.#control.onText?.(text);
  }
}

/** @throws PipelineError MODEL_INVALID: without an end mark every answer would be as long as it may */
function endIdsOf(model: ChatModelFolder, tokenizer: ChatTokenizer): ReadonlySet<number> {
  const own = tokenizer.marks.eos_token;
  const ownId = own === undefined ? undefined : tokenizer.idOf(own);
  const ids = model.endIds.length > 0 ? model.endIds : [ownId ?? []].flat();
  if (ids.length > 0) return new Set(ids);
  throw modelInvalid(
    join(model.path, "generation_config.json"),
    'there is no "eos_token_id", there or in config.json, and the tokenizer has no eos_token: nothing would end an answer',
  );
}

/** Cancel, progress and messages of the dispatcher come between two runs of the model. */
async function pause(signal: AbortSignal): Promise<void> {
  await setImmediate();
  signal.throwIfAborted();
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
