import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
/** One with the real handlers and models. */
let real: TestContainer;
beforeAll(async () => {
  [container, real] = await Promise.all([
    startContainer(),
    startContainer({ HANDLERS_DIR: "handlers", MODELS_DIR: "models", WORKERS: "sdxl" }),
  ]);
});
afterAll(() => Promise.all([container.stop(), real.stop()]));

const ask = (where: TestContainer, body: unknown) => where.call("POST", "/test-compel", { body });
const gated = (prompt: string) => ask(container, { prompt, type: "gated", model_variant: "tiny-sdxl" });

describe("POST /test-compel", () => {
  it("says what a model makes of a prompt with weights", async () => {
    const body = { prompt: "a red apple", negative_prompt: "blurry--", compel_weights: "(apple:1.3), leaf++" };
    const { status, json } = await ask(real, body);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      type: "sdxl_generate",
      model: "tiny-sdxl",
      enhancement_strategy: "compel",
      texts: [
        {
          field: "prompt",
          fragments: [
            { text: "a red apple,", weight: 1 },
            { text: "apple", weight: 1.3 },
            { text: ",", weight: 1 },
            { text: "leaf", weight: 1.1 ** 2 },
          ],
          encoders: [
            { name: "text_encoder", tokens: expect.any(Number) },
            { name: "text_encoder_2", tokens: expect.any(Number) },
          ],
          tokens: expect.arrayContaining([{ text: "apple</w>", weight: 1.3 }]),
          chunks: 1,
          max_tokens: null,
          cut_tokens: 0,
        },
        { field: "negative_prompt", fragments: [{ text: "blurry", weight: 0.81 }] },
      ],
      embeddings: { prompt_embeds: [1, 77, expect.any(Number)], pooled_prompt_embeds: [1, expect.any(Number)] },
    });
  });

  it("reads plain text as plain text, and says why weights cannot be read", async () => {
    const plain = await ask(real, { prompt: "a (red apple", compel_enabled: false });
    expect(plain.json).toMatchObject({
      enhancement_strategy: "none",
      texts: [{ fragments: [{ text: "a (red apple" }] }],
    });
    const fallback = await ask(real, { prompt: "a (red apple" });
    expect(fallback.json).toMatchObject({
      enhancement_strategy: "fallback",
      fallback_reason: expect.stringContaining('prompt: the bracket "(" at character 3 is not closed'),
    });
    const comma = await ask(real, { prompt: "an (apple:1,3)" });
    expect(comma.json).toMatchObject({
      enhancement_strategy: "fallback",
      fallback_reason:
        'prompt: "(apple:1,3)" has a comma in its weight; write (term:1.3): the prompt is taken as plain text',
      ignored: [],
    });
    const refused = await ask(real, { prompt: "a", compel_weights: "(apple:9)" });
    expect(refused).toMatchObject({ status: 422, json: { code: "INVALID_JOB" } });
  });

  it("counts a WAN prompt's tokens, and those beyond 511", async () => {
    const short = await ask(real, { type: "video_fast", prompt: "a rocket flies up, night sky" });
    expect(short.json).toMatchObject({ model: "tiny-wan", texts: [{ max_tokens: 511, cut_tokens: 0 }] });
    const long = await ask(real, { type: "video_fast", prompt: "a rocket flies up ".repeat(400) });
    expect(long.json).toMatchObject({ texts: [{ cut_tokens: expect.any(Number) }] });
    expect(JSON.stringify(long.json)).not.toContain('"cut_tokens":0');
  });

  it("names what is not there", async () => {
    expect(await ask(real, { prompt: "a", type: "nothing" })).toMatchObject({ json: { code: "UNKNOWN_JOB_TYPE" } });
    expect(await ask(real, { prompt: "a", model_variant: "none" })).toMatchObject({
      json: { code: "MODEL_NOT_FOUND" },
    });
    expect(await ask(container, { prompt: "a", type: "gated" })).toMatchObject({
      json: { code: "UNSUPPORTED_OPTION" },
    });
    expect((await ask(real, { prompt: "a".repeat(8001) })).status).toBe(400);
    for (const field of ["prompt", "negative_prompt", "compel_weights"]) {
      const { status, json } = await ask(real, { prompt: "a", [field]: "fo\0g" });
      expect({ status, text: JSON.stringify(json) }).toEqual({ status: 400, text: expect.stringContaining("NUL") });
    }
    const more = await ask(real, { prompt: "a", prompts: "b", config: {} });
    expect(more).toMatchObject({ status: 200, json: { ignored: ["prompts", "config"] } });
  });

  it("passes on what the handler throws, and goes on after the death of its process", async () => {
    expect(await gated("refuse")).toMatchObject({ status: 422, json: { error: "there are 7 terms" } });
    expect(await gated("die")).toMatchObject({ json: { code: "EXECUTOR_CRASHED" } });
    expect((await gated("a quiet lake")).json).toMatchObject({
      texts: [{ encoders: [{ name: "tiny-sdxl", tokens: 3 }] }],
    });
  });

  it("answers others while prompts are read, and reads no more than some at once", async () => {
    const many = await Promise.all(Array.from({ length: 20 }, () => gated("a quiet lake")));
    const statuses = many.map(({ status }) => status).sort();
    expect(statuses.slice(0, 17)).toEqual(Array(17).fill(200));
    expect(statuses.slice(17)).toEqual([503, 503, 503]);
  });
});
