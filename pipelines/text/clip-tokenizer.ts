import { Tokenizer } from "@huggingface/tokenizers";
import { type AddedToken, readTokenizerFiles, type TokenizerFiles } from "./tokenizer-files.ts";

/** CLIP's word pattern: the marks, English suffixes, letters, single digits, anything else that is no space. */
const clipWordPattern =
  "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/**
 * The word pattern of the byte-level stage; of CLIP's words it takes only the marks apart. Stated here because the
 * library's own one reads white space as JavaScript does, U+FEFF included.
 */
const byteLevelWordPattern = "[\\p{L}]+|[\\p{N}]+|'[\\p{L}]+|[^\\s\\p{L}\\p{N}]+";

/** Tokenizes as transformers' `CLIPTokenizer` does. */
export class ClipTokenizer {
  readonly beginId: number;
  readonly endId: number;
  readonly padId: number;
  /** Tokens of one chunk with its begin and end token: 77. */
  readonly maxLength: number;
  readonly #tokenizer: Tokenizer;
  /** Added tokens that are found in the text as it is written, before it is normalised. */
  readonly #verbatim: ReadonlyMap<string, number>;
  readonly #verbatimPattern: RegExp;
  readonly #vocab: TokenizerFiles["vocab"];
  #tokens: ReadonlyMap<number, string> | undefined;

  constructor(files: TokenizerFiles) {
    this.beginId = files.beginId;
    this.endId = files.endId;
    this.padId = files.padId;
    this.maxLength = files.maxLength;
    this.#vocab = files.vocab;
    const { normalized = [], verbatim = [] } = Object.groupBy(files.addedTokens, (token) =>
      token.normalized ? "normalized" : "verbatim",
    );
    this.#tokenizer = new Tokenizer(clipDefinition(files, normalized), {});
    this.#verbatim = new Map(verbatim.map(({ content, id }) => [content, id]));
    const alternatives = verbatim.map(({ content }) => RegExp.escape(content)).join("|");
    this.#verbatimPattern = new RegExp(alternatives === "" ? "(?!)" : `(${alternatives})`, "u");
  }

  /**
   * Reads a tokenizer folder.
   * @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID naming the file
   */
  static async load(folder: string): Promise<ClipTokenizer> {
    return new ClipTokenizer(await readTokenizerFiles(folder));
  }

  /** Token ids of a text of any length, without begin and end token. */
  encode(text: string): number[] {
    // Split here and not by the library, which also takes a section that only normalises to the token for it.
    return text.split(this.#verbatimPattern).flatMap((section) => {
      const added = this.#verbatim.get(section);
      if (added !== undefined) return added;
      // The reference lower-cases letter by letter; JavaScript would turn a capital sigma at a word's end into ς.
      return this.#tokenizer.encode(section.replaceAll("Σ", "σ"), { add_special_tokens: false }).ids;
    });
  }

  /** A token as the vocabulary writes it: `light`, `house</w>`. */
  tokenOf(id: number): string {
    this.#tokens ??= new Map(Object.entries(this.#vocab).map(([token, number]) => [number, token]));
    return this.#tokens.get(id) ?? "";
  }
}

/** The definition that transformers' `CLIPTokenizer` builds around a vocabulary, in the form of `tokenizer.json`. */
function clipDefinition(files: TokenizerFiles, addedTokens: readonly AddedToken[]): object {
  return {
    added_tokens: addedTokens.map((token) => ({ ...token, special: true })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: clipWordPattern }, behavior: "Removed", invert: true },
        { type: "Split", pattern: { Regex: byteLevelWordPattern }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      unk_token: files.unknownToken,
      end_of_word_suffix: "</w>",
      vocab: files.vocab,
      merges: files.merges,
    },
  };
}
