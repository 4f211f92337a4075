import { memoryUsage } from "node:process";
import { expect, it } from "vitest";
import { shippedSdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { cpuBytesOf, weightBytesOf } from "./weight-bytes.ts";

it("keeps nothing of the files that it reads for their types", async () => {
  const file = "unet/model.onnx";
  const onDisk = await weightBytesOf(shippedSdxl, [file]);
  const before = memoryUsage().arrayBuffers;
  await cpuBytesOf(shippedSdxl, onDisk);
  expect(memoryUsage().arrayBuffers - before).toBeLessThan((onDisk.get(file) ?? 0) / 10);
});
