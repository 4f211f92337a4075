import { describe, expect, it } from "vitest";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import { pictures } from "../testing/vace-cases.ts";
import { guideOf, knownFrames } from "./guide.ts";

const picture = (number: number) => formulaPicture(16, 16, number);

async function numbersOf(guide: ReturnType<typeof guideOf>) {
  const frames = [];
  for await (const frame of guide ?? []) frames.push(frame);
  return frames;
}

it("pairs every frame with its mask, all of a frame where there is none", async () => {
  const frames = await numbersOf(guideOf({ video: pictures(3, picture), mask: ["black", "white", picture(9)] }));
  expect(frames).toEqual([
    { frame: picture(0), mask: "black" },
    { frame: picture(1), mask: "white" },
    { frame: picture(2), mask: picture(9) },
  ]);
  const without = await numbersOf(guideOf({ video: ["gray", picture(1)] }));
  expect(without.map(({ mask }) => mask)).toEqual(["white", "white"]);
  const still = await numbersOf(guideOf({ video: pictures(2, picture), mask: picture(7) }));
  expect(still.map(({ mask }) => mask)).toEqual([picture(7), picture(7)]);
  expect(guideOf({})).toBeUndefined();
});

describe("a mask", () => {
  it.each([
    [3, 2, "the mask ends after 2 frames, and the video goes on"],
    [2, 3, "the video ends after 2 frames, and the mask goes on"],
    [1, 0, "the mask ends after 0 frames"],
  ])("is refused where the video has %i frames, and it has %i", async (frames, masks, problem) => {
    const guide = guideOf({ video: pictures(frames, picture), mask: pictures(masks, picture) });
    await expect(numbersOf(guide)).rejects.toMatchObject({
      code: "INVALID_JOB",
      permanent: true,
      message: expect.stringContaining(problem),
    });
  });

  it("is refused without a video", () => {
    expect(() => guideOf({ mask: ["white"] })).toThrow(
      "a mask belongs to a control video, and the job has none: send both, or none",
    );
  });
});

it("closes video and mask when no more frames are taken", async () => {
  const closed: string[] = [];
  async function* endless(name: string) {
    try {
      for (let index = 0; ; index++) yield picture(index);
    } finally {
      closed.push(name);
    }
  }
  const guide = guideOf({ video: endless("video"), mask: endless("mask") });
  for await (const { frame } of guide ?? []) {
    expect(frame).toEqual(picture(0));
    break;
  }
  expect(closed.sort()).toEqual(["mask", "video"]);
});

it("keeps the frames that are known, and has gray for the rest", () => {
  const [first, last] = [picture(1), picture(2)];
  expect(knownFrames({ first, last }, 4)).toEqual({
    video: [first, "gray", "gray", last],
    mask: ["black", "white", "white", "black"],
  });
  expect(knownFrames({ last }, 2)).toEqual({ video: ["gray", last], mask: ["white", "black"] });
  expect(knownFrames({ first, last }, 1)).toEqual({ video: [first], mask: ["black"] });
  expect(knownFrames({ last }, 1)).toEqual({ video: [last], mask: ["black"] });
});
