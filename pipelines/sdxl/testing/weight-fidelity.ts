import { readFileSync } from "node:fs";
import { z } from "zod";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";
import { encodePrompt, type PromptEmbeddings } from "../encode-prompt.ts";
import { readWeights } from "../read-weights.ts";
import { TextEncoder } from "../text-encoder.ts";

const fixtures = new URL("../fixtures/weights/", import.meta.url);

export const weightCases = z
  .array(z.object({ name: z.string(), prompt: z.string(), terms: z.string(), negative_prompt: z.string().nullable() }))
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

export type WeightCase = (typeof weightCases)[number];

/** The fixtures have every second value of an embedding. */
const stride = 2;

const limit = 1e-5;

/** The text encoders of the tests' random model. */
export class TestEncoders {
  readonly #components: ComponentSet;
  readonly pair: readonly [TextEncoder, TextEncoder];

  private constructor(components: ComponentSet, pair: readonly [TextEncoder, TextEncoder]) {
    this.#components = components;
    this.pair = pair;
  }

  static async load(folder = tinySdxl): Promise<TestEncoders> {
    const components = new ComponentSet(folder, { executionProvider: "cpu" });
    const encoder = async (tokenizer: string, file: string) =>
      new TextEncoder(await ClipTokenizer.load(`${folder}/${tokenizer}`), components, file);
    return new TestEncoders(components, [
      await encoder("tokenizer", "text_encoder/model.onnx"),
      await encoder("tokenizer_2", "text_encoder_2/model.onnx"),
    ]);
  }

  /** @throws Error when the weights cannot be read */
  async encode({ prompt, terms, negative_prompt }: WeightCase, clipSkip = 0): Promise<PromptEmbeddings> {
    const negative = negative_prompt ?? undefined;
    const job = { prompt, compel_weights: terms, negative_prompt: negative, compel_enabled: true };
    const read = readWeights(job);
    if (read.strategy !== "compel") throw new Error(`"${prompt}" has no weights: ${JSON.stringify(read)}`);
    const guided = negative !== undefined;
    return encodePrompt(this.pair, true, {
      prompt,
      negativePrompt: negative,
      weighted: read.prompts,
      guided,
      clipSkip,
    });
  }

  dispose(): Promise<void> {
    return this.#components.dispose();
  }
}

const expected = readSafetensors(new URL("embeddings.safetensors", fixtures));

/** The largest difference of any embedding of a case. */
export async function weightDifference(encoders: TestEncoders, one: WeightCase): Promise<number> {
  const { positive, negative } = await encoders.encode(one);
  const thinned = (data: Float32Array) => data.filter((_, index) => index % stride === 0);
  const compared: [string, Float32Array][] = [
    ["hidden", thinned(positive.hidden.data)],
    ["pooled", positive.pooled.data],
    ...(negative === undefined
      ? []
      : ([
          ["negative_hidden", thinned(negative.hidden.data)],
          ["negative_pooled", negative.pooled.data],
        ] satisfies [string, Float32Array][])),
  ];
  return Math.max(
    ...compared.map(([name, data]) => maxDifference(data, expected.get(`${one.name}.${name}`)?.data ?? [])),
  );
}

export const weightFidelity: FidelityArea = {
  title: "Prompts with weights",
  difference: "Largest difference of any value of both encoders' embeddings or the pooled one, in float32.",
  cases: [
    {
      setting: `${weightCases.length} prompts: both syntaxes, nested, \`.and()\`, \`.blend()\`, \`compel_weights\`, several chunks`,
      reference: "compel's `CompelForSDXL`",
      limit,
      measure: async () => {
        const encoders = await TestEncoders.load();
        const differences: number[] = [];
        for (const one of weightCases) differences.push(await weightDifference(encoders, one));
        await encoders.dispose();
        return Math.max(...differences);
      },
    },
  ],
};
