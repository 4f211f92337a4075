import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findModel, readGenerationConfig } from "./models.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
  await mkdir(join(folder, "small"));
  await writeFile(join(folder, "aliases.json"), '{"painter": "small", "gone": "away"}');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe("findModel", () => {
  it("finds a folder by its name, or by an alias", async () => {
    expect(await findModel(folder, "small")).toEqual({ name: "small", path: join(folder, "small"), alias: null });
    expect(await findModel(folder, "painter")).toEqual({
      name: "small",
      path: join(folder, "small"),
      alias: "painter",
    });
  });

  it("prefers a real folder to an alias of the same name", async () => {
    await mkdir(join(folder, "painter"));
    expect(await findModel(folder, "painter")).toMatchObject({ name: "painter", alias: null });
  });

  it.each(["big", "gone"])("says which folder is missing: %s", async (name) => {
    await expect(findModel(folder, name)).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining(folder),
    });
  });

  it.each(["../small", "a/b", "", ".hidden", "a\0b"])("refuses a name that is a path: %j", async (name) => {
    await expect(findModel(folder, name)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  });

  it("says which file is damaged", async () => {
    await writeFile(join(folder, "aliases.json"), "[1]");
    await expect(findModel(folder, "painter")).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining("aliases.json"),
    });
  });
});

it("reads a model's own defaults, none when it has no file", async () => {
  const model = { name: "small", path: join(folder, "small") };
  expect(await readGenerationConfig(model)).toEqual({});
  await writeFile(join(model.path, "generation_config.json"), '{"width": 128}');
  expect(await readGenerationConfig(model)).toEqual({ width: 128 });
});
