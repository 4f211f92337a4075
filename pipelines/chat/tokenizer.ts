import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { modelInvalid, modelNotFound } from "#pipelines/core/errors.ts";
import { readJson } from "#pipelines/core/json-file.ts";

const special = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);

/** Marks that templates know by these names. */
const marks = {
  bos_token: special.nullish(),
  eos_token: special.nullish(),
  unk_token: special.nullish(),
  sep_token: special.nullish(),
  pad_token: special.nullish(),
  cls_token: special.nullish(),
  mask_token: special.nullish(),
};

const marksFile = z.looseObject(marks);
const tokenizerConfig = z.looseObject(marks);
const anything = z.looseObject({});

/** Reads and writes the tokens of one model, as its `tokenizer.json` says. */
export class ChatTokenizer {
  /** Texts of the marks: `{ "bos_token": "<s>" }`. */
  readonly marks: Readonly<Record<string, string>>;
  readonly #tokenizer: Tokenizer;

  private constructor(tokenizer: Tokenizer, ownMarks: Readonly<Record<string, string>>) {
    this.#tokenizer = tokenizer;
    this.marks = ownMarks;
  }

  /** @throws PipelineError MODEL_NOT_FOUND or MODEL_INVALID naming the file */
  static async load(folder: string): Promise<ChatTokenizer> {
    const path = join(folder, "tokenizer.json");
    const file = await readJson(path, anything);
    if (file === undefined) throw modelNotFound("the tokenizer", path);
    const config = (await readJson(join(folder, "tokenizer_config.json"), tokenizerConfig)) ?? {};
    const map = (await readJson(join(folder, "special_tokens_map.json"), marksFile)) ?? {};
    const named = Object.keys(marks).flatMap((name) => {
      const text = [config[name], map[name]].find((value) => typeof value === "string");
      return typeof text === "string" ? [[name, text] as const] : [];
    });
    try {
      return new ChatTokenizer(new Tokenizer(file, config), Object.fromEntries(named));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      throw modelInvalid(path, `the tokenizer cannot be made (${problem})`, error);
    }
  }

  /** @param withMarks puts the marks around the text that the tokenizer puts around a whole one, such as its begin mark */
  encode(text: string, withMarks: boolean): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: withMarks }).ids;
  }

  /** Without marks; tokens that there are scores for and no text are left out. */
  decode(ids: readonly number[]): string {
    const known = ids.filter((id) => this.#tokenizer.id_to_token(id) !== undefined);
    if (known.length === 0) return "";
    return this.#tokenizer.decode(known, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }

  idOf(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }
}
