import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isAddress } from "#contract/loras.ts";
import { findLora } from "./loras.ts";

let models: string;
beforeAll(() => {
  models = mkdtempSync(join(tmpdir(), "models-"));
  mkdirSync(join(models, "loras/folder.safetensors"), { recursive: true });
  writeFileSync(join(models, "loras/water colour.safetensors"), "x");
  writeFileSync(join(models, "outside.safetensors"), "x");
});
afterAll(() => rmSync(models, { recursive: true, force: true }));

it("finds a file by its name, with or without the extension, and has another version for other content", async () => {
  const file = join(models, "loras/water colour.safetensors");
  const found = await findLora(models, "water colour");
  expect(found).toMatchObject({ file, name: "water colour" });
  expect(await findLora(models, "water colour.safetensors")).toMatchObject({ file, version: found.version });
  writeFileSync(file, "xy");
  expect((await findLora(models, "water colour")).version).not.toBe(found.version);
});

it.each(["ink", "folder", "../outside", "/etc/passwd", "..", "", "a/b", "a\0b", "-x"])(
  "finds no file for %j",
  async (name) => {
    await expect(findLora(models, name)).rejects.toMatchObject({ code: "LORA_NOT_FOUND" });
  },
);

it("knows an address from a name", () => {
  expect(["https://a.example/x", "HTTP://a", "file:///x"].map(isAddress)).toEqual([true, true, true]);
  expect(["ink", "a:b", "https"].map(isAddress)).toEqual([false, false, false]);
});
