/** One message of a conversation. */
export interface ChatTurn {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** How the next token is chosen; names and order of the steps are transformers'. */
export interface Sampling {
  /** 0: always the most likely token. */
  readonly temperature: number;
  /** Tokens are kept until their probabilities sum up to this; 1, the default, keeps all. */
  readonly topP?: number | undefined;
  /** How many tokens are kept; 0, the default, keeps all. */
  readonly topK?: number | undefined;
  /** What the scores of tokens that were there before are divided by; 1, the default, changes nothing. */
  readonly repetitionPenalty?: number | undefined;
  /** One is drawn when absent. The same request with the same seed gives the same text. */
  readonly seed?: number | undefined;
}

interface TextLimits extends Sampling {
  /** Tokens of the answer at most. */
  readonly maxTokens: number;
  /** The answer ends before the first of these texts. */
  readonly stop?: readonly string[] | undefined;
}

/** A text that a model is to continue as it stands: the lead, the examples and the prompt, with nothing between them. */
export interface ChatText {
  /** Stays, as a conversation's system message does. */
  readonly lead?: string | undefined;
  /** Go where there is no room for them, from the first on. */
  readonly examples?: readonly string[] | undefined;
  readonly prompt: string;
}

/**
 * What a language model is to continue: a conversation, which the model's own chat template writes out, or a text, for
 * models that were never taught to converse.
 */
export type ChatInput =
  | { readonly messages: readonly ChatTurn[]; readonly prompt?: undefined }
  | (ChatText & { readonly messages?: undefined });

export type ChatRequest = TextLimits & ChatInput;

export interface ChatControl {
  /** Looked at before every token and between the parts of a long prompt. */
  readonly signal: AbortSignal;
  /**
   * The answer as it grows: whole characters only, and nothing that a stop text could still cut off. All deltas together are
   * the result's text.
   */
  onText?(delta: string): void;
  /** After each token of the answer, with their number so far. */
  onToken?(count: number): void;
}

export interface ChatResult {
  readonly text: string;
  /** Tokens that the model read, those of the template included. */
  readonly promptTokens: number;
  /** Tokens that the model made, its end mark included. */
  readonly tokensGenerated: number;
  /** `stop`: the model's end mark or a stop text; `length`: `maxTokens` or the end of the context. */
  readonly finishReason: "stop" | "length";
  /** Messages at the beginning, after the system's, that had no room in the context. */
  readonly droppedTurns: number;
  /** Examples of a text that had no room in the context. */
  readonly droppedExamples: number;
  /** That of the request, or the drawn one; greedy answers do not depend on it. */
  readonly seed: number;
  /** Reading the prompt and making the answer. */
  readonly generationSeconds: number;
  /** The part of it up to the first token. */
  readonly prefillSeconds: number;
}

/** A language model that is loaded. */
export interface LanguageModel {
  /**
   * @throws PipelineError INVALID_JOB for a conversation that the template refuses, or whose system message and newest turn
   *   have no room in the context; OUT_OF_MEMORY, DEVICE_LOST, DEVICE_FAULT; the signal's reason
   */
  generate(request: ChatRequest, control: ChatControl): Promise<ChatResult>;
  /** Tokens of a text alone, without the marks that a template or the tokenizer puts around it. */
  countTokens(text: string): number;
}
