import { describe, expect, it } from "vitest";
import { pictureCases, runPictureCase } from "./testing/picture-cases.ts";
import { latentLimit } from "./testing/picture-fidelity.ts";

describe.each(pictureCases)("the reference case $name", (reference) => {
  it("begins, goes on and ends as diffusers does", async () => {
    const { latents, pixels } = await runPictureCase(reference);
    const wrong = Object.entries(latents).filter(([, difference]) => !(difference <= latentLimit));
    expect(wrong).toEqual([]);
    expect(pixels).toBeLessThanOrEqual(1);
  });
});
