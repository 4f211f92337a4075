import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDataFolder } from "./data-folder.ts";

let folder: string;
let keyFile: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-folder-"));
  keyFile = join(folder, "signing.key");
});
afterEach(() => rm(folder, { recursive: true }));

test("the signing key is made once, for its owner alone, and kept; starts at the same moment share it", async () => {
  const keys = await Promise.all([openDataFolder(folder), openDataFolder(folder), openDataFolder(folder)]);
  const [first] = keys.map(({ signingKey }) => signingKey);
  expect(first).toHaveLength(32);
  for (const { signingKey } of keys) expect(Buffer.from(signingKey)).toEqual(Buffer.from(first ?? []));
  expect(Buffer.from((await openDataFolder(folder)).signingKey)).toEqual(await readFile(keyFile));
  expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
});

test.each([0, 31, 33])(
  "a key of %i bytes is refused with what to do about it, and helped by doing it",
  async (bytes) => {
    await writeFile(keyFile, Buffer.alloc(bytes));
    await expect(openDataFolder(folder)).rejects.toMatchObject({
      code: "DATA_FOLDER_UNUSABLE",
      message: expect.stringMatching(/signing\.key is damaged \(\d+ bytes instead of 32\): delete it/),
    });
    await rm(keyFile);
    expect((await openDataFolder(folder)).signingKey).toHaveLength(32);
  },
);

test("the folder is made for its owner alone; one that exists stays as it is", async () => {
  const made = join(folder, "above", "data");
  await openDataFolder(made);
  expect((await stat(made)).mode & 0o777).toBe(0o700);
  await chmod(made, 0o750);
  await openDataFolder(made);
  expect((await stat(made)).mode & 0o777).toBe(0o750);
});

test("a key that cannot be read is not replaced", async () => {
  await mkdir(keyFile);
  await expect(openDataFolder(folder)).rejects.toMatchObject({
    code: "DATA_FOLDER_UNUSABLE",
    message: expect.stringContaining("EISDIR"),
  });
});
