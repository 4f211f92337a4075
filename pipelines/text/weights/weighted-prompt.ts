/** A run of text with one weight. 1 leaves it as it is; up to 2 stresses it, down to 0 takes it away. */
export interface WeightedFragment {
  readonly text: string;
  readonly weight: number;
}

/** A prompt without structure: its fragments in their order. Neighbours differ in weight. */
export type Fragments = readonly WeightedFragment[];

/** One of the prompts that `.and()` lays side by side. */
export type PromptPart =
  | { readonly kind: "prompt"; readonly fragments: Fragments; readonly weight: number }
  | {
      readonly kind: "blend";
      readonly prompts: readonly { readonly fragments: Fragments; readonly weight: number }[];
      /** Whether the weights are divided by their sum. */
      readonly normalized: boolean;
      readonly weight: number;
    };

/** A prompt as it was read from either syntax. */
export interface WeightedPrompt {
  readonly parts: readonly PromptPart[];
  /** The prompt in Compel's syntax. Like Compel, the pooled embedding is made of it as it stands, marks included. */
  readonly compelText: string;
}

/** All runs of text, the parts' and the blends' in their order. */
export function fragmentsOf({ parts }: WeightedPrompt): WeightedFragment[] {
  return parts.flatMap((part) =>
    part.kind === "prompt" ? part.fragments : part.prompts.flatMap(({ fragments }) => fragments),
  );
}
