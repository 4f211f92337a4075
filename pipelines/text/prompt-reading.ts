/** One prompt as a model's text encoders get it. */
export interface ReadText {
  readonly field: "prompt" | "negative_prompt";
  readonly fragments: { readonly text: string; readonly weight: number }[];
  readonly encoders: { readonly name: string; readonly tokens: number }[];
  readonly tokens: { readonly text: string; readonly weight: number }[];
  readonly chunks: number;
  readonly max_tokens: number | null;
  readonly cut_tokens: number;
}

/** Prompts without weights. */
export interface PlainTexts {
  readonly prompt: string;
  readonly negative_prompt?: string | undefined;
}

/** What a model makes of prompts before anything is computed. */
export interface PromptReading {
  readonly enhancement_strategy: "compel" | "fallback" | "none";
  readonly fallback_reason?: string;
  readonly texts: ReadText[];
  readonly embeddings: Record<string, number[]>;
}

/** Tokens that are listed; a prompt may have thousands. */
export const maxListedTokens = 400;
