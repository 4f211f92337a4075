import { expect, it } from "vitest";
import { safeId } from "./job.ts";
import { contentTypeOf, currentJobType, isJobType, jobTypes, queueName } from "./job-types.ts";

it("knows all types, by worker", () => {
  const byWorker = Map.groupBy(Object.entries(jobTypes), ([, { worker }]) => worker);
  expect(Object.fromEntries([...byWorker].map(([worker, types]) => [worker, types.map(([type]) => type)]))).toEqual({
    sdxl: ["sdxl_image_fast", "sdxl_image_high", "sdxl_generate"],
    wan: [
      "image_fast",
      "image_high",
      "video_fast",
      "video_high",
      "image7b_fast_enhanced",
      "image7b_high_enhanced",
      "video7b_fast_enhanced",
      "video7b_high_enhanced",
      "wan_generate",
      "t2v",
      "t2v_22",
      "generate_video",
      "i2v",
      "i2v_22",
      "flf2v",
      "vace",
      "vace_21",
      "vace_22",
      "wan_2_2_t2i",
    ],
    chat: ["enhance_base", "enhance_instruct", "chat"],
  });
  for (const type of Object.keys(jobTypes)) expect(safeId.safeParse(type).success).toBe(true);
});

it.each([
  ["sdxl_image_fast", 15, 6.0, 30],
  ["sdxl_image_high", 25, 7.5, 42],
  ["video_fast", 25, 6.5, 180],
  ["video_high", 50, 7.5, 240],
  ["sdxl_generate", null, null, null],
] as const)("%s: %s steps, guidance %s, %s s", (type, steps, guidance, expectedSeconds) => {
  expect(jobTypes[type]).toMatchObject({ steps, guidance, expectedSeconds });
});

it.each([
  ["wan_video_fast", "video_fast"],
  ["wan_video_high", "video_high"],
  ["video_fast", "video_fast"],
  ["toString", "toString"],
  ["unheard_of", "unheard_of"],
])("%s is now %s", (type, current) => {
  expect(currentJobType(type)).toBe(current);
});

it("says what a job makes", () => {
  expect(contentTypeOf("video_fast")).toBe("video");
  expect(contentTypeOf("wan_generate", 1)).toBe("image");
  expect(contentTypeOf("wan_generate", 81)).toBe("video");
  expect(contentTypeOf("constructor")).toBeUndefined();
  expect(isJobType("__proto__")).toBe(false);
  expect(queueName("sdxl")).toBe("sdxl_queue");
});
