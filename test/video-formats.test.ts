import { expect, it } from "vitest";
import { maxCrf } from "#contract/wan.ts";
import { maxCrf as maxCrfOfEncoders } from "#pipelines/video/video-encoder.ts";

it("jobs may request the formats that are encoded, each on its encoder's whole scale of quality", () => {
  expect(maxCrf).toEqual(maxCrfOfEncoders);
});
