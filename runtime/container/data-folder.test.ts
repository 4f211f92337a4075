import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { attemptFolder, openDataFolder, removeWork } from "./data-folder.ts";

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

test("two attempts with one number have a folder each: what is removed of the one leaves the other's", async () => {
  const { work } = await openDataFolder(folder);
  const [before, after] = ["one lease", "another lease"].map((token) => {
    return attemptFolder(work, { jobId: "lake", attempt: 1, token });
  });
  if (before === undefined || after === undefined) throw new Error("there are two");
  await mkdir(before, { recursive: true });
  await mkdir(after, { recursive: true });
  await writeFile(join(after, "0.png"), "a lake");
  await removeWork(before);
  expect(await readFile(join(after, "0.png"), "utf8")).toBe("a lake");
  await removeWork(after);
  expect(await readdir(work)).toEqual([]);
  expect(attemptFolder(work, { jobId: "lake", attempt: 1, token: "one lease" })).toBe(before);
});
