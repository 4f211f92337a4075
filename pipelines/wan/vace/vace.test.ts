import { afterAll, expect, it } from "vitest";
import { VaceModels, vaceCases, vaceDifference } from "../testing/vace-cases.ts";
import { controlLimit, stepLimit } from "../testing/vace-fidelity.ts";

const models = new VaceModels();
afterAll(() => models.dispose());

it("finds its reference cases", () => {
  expect(vaceCases.map(({ name }) => name)).toEqual([
    ...["text", "video-and-mask", "video", "one-reference", "three-references", "scale-0", "scale-per-layer"],
    ...["shorter-video", "first-and-last", "one-frame", "two-stages", "other-sizes"],
  ]);
});

it.each(vaceCases)(
  "reads the control of $name, goes through all steps and draws all frames as diffusers does",
  async (reference) => {
    const { control, steps, pixels, pixelsOff } = await vaceDifference(models, reference);
    expect(control).toBeLessThanOrEqual(controlLimit);
    expect(steps).toBeLessThanOrEqual(stepLimit);
    expect(pixels).toBeLessThanOrEqual(1);
    expect(pixelsOff).toBeLessThanOrEqual(0.001);
  },
);
