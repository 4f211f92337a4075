import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { ComponentSet } from "./component-set.ts";

const decoder = "vae_decoder/model.onnx";
const encoder = "vae_encoder/model.onnx";

const components = new ComponentSet(tinySdxl, { executionProvider: "cpu" });
afterEach(() => components.dispose());

const latents = { data: new Float32Array(4 * 8 * 8), dims: [1, 4, 8, 8] };

it("loads a component at its first use, and again after it was freed", async () => {
  expect(components.inMemory).toEqual([]);
  const first = await components.get(decoder);
  expect(await components.get(decoder)).toBe(first);
  await components.get(encoder);
  expect(components.inMemory).toEqual([decoder, encoder]);
  await components.free(decoder);
  await components.free(decoder);
  expect(components.inMemory).toEqual([encoder]);
  await expect(first.run({ latent_sample: latents }, ["sample"])).rejects.toThrow();
  expect(await components.get(decoder)).not.toBe(first);
});

it("keeps count of what freed components have computed", async () => {
  const run = async () => (await components.get(decoder)).run({ latent_sample: latents }, ["sample"]);
  await run();
  const before = components.millisecondsInRun;
  expect(before).toBeGreaterThan(0);
  expect(components.secondsLoading).toBeGreaterThan(0);
  await components.free(decoder);
  expect(components.millisecondsInRun).toBe(before);
  await run();
  expect(components.millisecondsInRun).toBeGreaterThan(before);
});

describe("a limit of memory", () => {
  const files = ["text_encoder/model.onnx", "text_encoder_2/model.onnx", decoder, encoder];
  const of = (maxBytes: number, rarelyUsed: readonly string[] = []) => {
    const limited = new ComponentSet(tinySdxl, { executionProvider: "cpu" });
    onTestFinished(() => limited.dispose());
    limited.limitMemory({ maxBytes, weightBytes: new Map(files.map((file) => [file, 10])), rarelyUsed });
    return limited;
  };
  const use = async (limited: ComponentSet, count: number) => {
    for (const file of files.slice(0, count)) await limited.get(file);
    return limited.inMemory;
  };

  it("that all files keep to holds them all", async () => {
    const limited = of(40);
    expect(limited.fits(files)).toBe(true);
    expect(await use(limited, 4)).toEqual(files);
  });

  it("makes those go first that a run needs last, and counts what is loaded again", async () => {
    const limited = of(30);
    expect(limited.fits(files)).toBe(false);
    expect(limited.fits(files.slice(1))).toBe(true);
    expect(await use(limited, 4)).toEqual([files[0], files[1], encoder]);
    await use(limited, 2);
    expect(limited.loads).toBe(4);
    await limited.get(decoder);
    expect(limited.inMemory).toEqual([files[0], encoder, decoder]);
    expect(limited.loads).toBe(5);
  });

  it("makes those go before all others that many runs do without", async () => {
    expect(await use(of(30, [files[0] ?? ""]), 4)).toEqual([files[1], decoder, encoder]);
  });

  it("leaves what runs by turns with a file where it is", async () => {
    const limited = of(10);
    await limited.get(decoder);
    await limited.get(encoder, [decoder]);
    expect(limited.inMemory).toEqual([decoder, encoder]);
    await limited.get(encoder);
    await limited.get(files[0] ?? "");
    expect(limited.inMemory).toEqual(files.slice(0, 1));
  });

  it("that one file alone exceeds holds that one", async () => {
    expect(await use(of(5), 3)).toEqual([decoder]);
  });
});

it("keeps nothing of a file that cannot be loaded", async () => {
  await expect(components.get("unet_2/model.onnx")).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  expect(components.inMemory).toEqual([]);
});
