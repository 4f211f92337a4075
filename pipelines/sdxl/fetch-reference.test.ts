import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { picturesOf } from "./job-reference.ts";

it("says which of a job's pictures is none", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pictures-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "a.txt");
  writeFileSync(file, "a text");
  const host = { input: async () => ({ file, mimeType: "image/png" }) };
  const size = { width: 64, height: 64, num_inference_steps: 1, guidance_scale: 1, num_images: 1 };
  const problemOf = (config: object, metadata = {}) =>
    picturesOf({ prompt: "", config, metadata }, size, host).catch(({ code, message }) => [code, message]);
  const saying = (what: string) => ["INPUT_INVALID", expect.stringContaining(what)];
  expect(await problemOf({ ip_adapter_image_url: "a" })).toEqual(saying("picture beside the prompt"));
  expect(await problemOf({ control_image_url: "a" })).toEqual(saying("control picture"));
  expect(await problemOf({}, { reference_image_url: "a" })).toEqual(saying("reference picture"));
});
