import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { toRgbFrames } from "#pipelines/diffusion/video-frames.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference, meanDifference } from "#pipelines/testing/compare.ts";
import { copyRandomWan, randomWans } from "#pipelines/testing/random-wan.ts";
import type { AnchorCondition } from "./condition.ts";
import { decodeVideo } from "./decode-video.ts";
import { encodeVideo } from "./encode-video.ts";
import { WanPipeline, type WanRequest } from "./pipeline.ts";

// A dozen whole clips: a second of computation each.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const tinyWan = fileURLToPath(new URL("../../models/tiny-wan", import.meta.url));
const frames = 17;
const settings = { width: 64, height: 64, frames, numInferenceSteps: 12, guidanceScale: 1 };
const moving = { ...settings, prompt: "a red apple moves left, light blue background", seed: 5 };

let pipeline: WanPipeline;
let picture: RgbImage;
/** Mean difference of the picture's pixels after encoding and decoding a clip that shows it alone, frame by frame. */
let roundTrip: number[];
let plain: RgbImage[];

beforeAll(async () => {
  pipeline = await WanPipeline.load(tinyWan, { executionProvider: "cpu" });
  const still = await draw({ ...settings, prompt: "a red apple stands still, light blue background", seed: 3 });
  picture = frameAt(still, 8);
  roundTrip = await differencesAfterVae(picture);
  plain = await draw(moving);
});
afterAll(() => pipeline.dispose());

async function draw(request: WanRequest, from = pipeline): Promise<RgbImage[]> {
  const drawn: RgbImage[] = [];
  await from.generate(request, async ({ data, ...size }) => {
    drawn.push({ ...size, data: data.slice() });
  });
  return drawn;
}

const anchored = (pictures: Omit<AnchorCondition, "kind" | "strength">, strength: number, request = moving) =>
  draw({ ...request, condition: { kind: "anchor", ...pictures, strength } });

function frameAt(drawn: readonly RgbImage[], index: number): RgbImage {
  const frame = drawn.at(index);
  if (frame === undefined) throw new Error(`there is no frame ${index}`);
  return frame;
}

const distance = (drawn: readonly RgbImage[], index: number) =>
  meanDifference(frameAt(drawn, index).data, picture.data);

async function differencesAfterVae(image: RgbImage): Promise<number[]> {
  const components = new ComponentSet(tinyWan, { executionProvider: "cpu" });
  const stills = Array.from({ length: frames }, () => image);
  const latents = await encodeVideo(components, pipeline.model, stills);
  const differences: number[] = [];
  for await (const chunk of decodeVideo(components, pipeline.model, latents)) {
    for (const { data } of toRgbFrames(chunk)) differences.push(meanDifference(data, image.data));
  }
  await components.dispose();
  return differences;
}

/** How far to the right red is, 0 to 1. */
function middleOfRed({ data, width }: RgbImage): number {
  let [total, x] = [0, 0];
  for (let place = 0; place < data.length / 3; place++) {
    const [red = 0, green = 0, blue = 0] = data.subarray(3 * place, 3 * place + 3);
    const weight = Math.max(0, red - Math.max(green, blue) - 60);
    total += weight;
    x += (weight * (place % width)) / width;
  }
  return x / total;
}

describe("a strength of 0", () => {
  it.each(["first", "last", "single"] as const)(
    "of a %s picture makes the clip that is made without, to the bit",
    async (name) => {
      const drawn = await anchored({ [name]: picture }, 0);
      expect(drawn.map(({ data }) => data)).toEqual(plain.map(({ data }) => data));
    },
  );
});

describe.each([
  ["first", 0, -1],
  ["last", -1, 0],
] as const)("a %s frame", (name, held, free) => {
  const drawn = new Map<number, RgbImage[]>();
  beforeAll(async () => {
    drawn.set(0, plain);
    for (const strength of [0.25, 0.5, 0.75, 1]) drawn.set(strength, await anchored({ [name]: picture }, strength));
  });
  const at = (strength: number) => drawn.get(strength) ?? [];

  it("at 1 is the picture as the VAE gives it back", () => {
    expect(distance(at(1), held)).toBeLessThan(1.5 * (roundTrip.at(held) ?? 0));
  });

  it("comes nearer to the picture with every strength", () => {
    const distances = [0, 0.25, 0.5, 0.75, 1].map((strength) => distance(at(strength), held));
    for (const [index, value] of distances.slice(1).entries()) expect(value).toBeLessThan(distances[index] ?? 0);
  });

  it("leaves the other end to the prompt", () => {
    const otherEnd = (clip: readonly RgbImage[]) => middleOfRed(frameAt(clip, free));
    // The apple crosses 40 % of the picture to the left; the picture has it in the middle.
    expect(Math.abs(middleOfRed(picture) - 0.5)).toBeLessThan(0.05);
    expect(Math.abs(otherEnd(at(1)) - otherEnd(plain))).toBeLessThan(0.06);
    expect(Math.abs(otherEnd(at(1)) - 0.5)).toBeGreaterThan(0.12);
  });
});

it("holds both ends of a clip", async () => {
  const drawn = await anchored({ first: picture, last: picture }, 1);
  for (const index of [0, -1]) expect(distance(drawn, index)).toBeLessThan(1.5 * (roundTrip.at(index) ?? 0));
});

it("is led half as far by a picture that is no frame of it", async () => {
  const [single, first] = [await anchored({ single: picture }, 1), await anchored({ first: picture }, 0.5)];
  expect(single.map(({ data }) => data)).toEqual(first.map(({ data }) => data));
});

it("makes the picture of one frame at a strength of 1", async () => {
  const [image] = await anchored({ first: picture }, 1, { ...moving, frames: 1 });
  expect(meanDifference(image?.data ?? [], picture.data)).toBeLessThan(1.5 * (roundTrip[0] ?? 0));
});

describe("with random weights", () => {
  let random: WanPipeline;
  const image = { width: 64, height: 64, data: new Uint8ClampedArray(64 * 64 * 3).fill(200) };
  const short = { prompt: "a lake", width: 64, height: 64, frames: 9, guidanceScale: 3, seed: 2, numInferenceSteps: 8 };
  beforeAll(async () => {
    random = await WanPipeline.load(randomWans["random-wan"], { executionProvider: "cpu" });
  });
  afterAll(() => random.dispose());

  it.each(["unipc", "dpm++", "euler"])(
    "%s leaves the picture noised to each step's sigma above the floor",
    async (scheduler) => {
      const components = new ComponentSet(randomWans["random-wan"], { executionProvider: "cpu" });
      const goal = (await encodeVideo(components, random.model, [image])).data;
      await components.dispose();
      const strength = 0.6;
      let noise: Float32Array = new Float32Array();
      let sigmas: Float32Array = new Float32Array();
      const seen: { step: number; sigma: number; difference: number }[] = [];
      const condition = { kind: "anchor" as const, first: image, strength };
      await random.generate({ ...short, scheduler, condition }, async () => undefined, {
        onStage(stage) {
          if (stage.name === "prepared") {
            noise = stage.noise.data.slice();
            sigmas = stage.schedule.sigmas;
          }
          if (stage.name !== "step") return;
          const { dims, data } = stage.latents;
          const [, channels = 0, latentFrames = 0, height = 0, width = 0] = dims;
          const sigma = sigmas[stage.stepIndex + 1] ?? 0;
          const size = height * width;
          const places = Array.from({ length: channels * size }, (_, index) => {
            return Math.floor(index / size) * latentFrames * size + (index % size);
          });
          const expected = places.map((place, index) => (1 - sigma) * (goal[index] ?? 0) + sigma * (noise[place] ?? 0));
          const difference = maxDifference(
            places.map((place) => data[place] ?? 0),
            expected,
          );
          seen.push({ step: stage.stepIndex, sigma: sigmas[stage.stepIndex] ?? 0, difference });
        },
      });
      const held = seen.filter(({ sigma }) => sigma > 1 - strength);
      expect(held.length).toBeGreaterThanOrEqual(4);
      // The first sigma of some schedules is a little below 1, and the run begins with noise all the same.
      for (const { difference } of held) expect(difference).toBeLessThan(5e-3);
      expect(Math.max(...seen.slice(held.length).map(({ difference }) => difference))).toBeGreaterThan(0.1);
    },
  );

  it("refuses a folder without a VAE encoder in a sentence", async () => {
    const folder = copyRandomWan();
    rmSync(join(folder, "vae_encoder"), { recursive: true });
    const without = await WanPipeline.load(folder, { executionProvider: "cpu" });
    await expect(
      draw({ ...short, condition: { kind: "anchor", first: image, strength: 1 } }, without),
    ).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringMatching(
        /^the model random-wan-\w+ has no VAE encoder, which pictures are read by: export it/,
      ),
    });
    await without.dispose();
    rmSync(folder, { recursive: true });
  });
});
