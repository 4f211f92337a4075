import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { backUp } from "./backup.ts";
import { checksumsName, filesBelow } from "./checksums.ts";
import { restore } from "./restore.ts";
import { TarWriter, type WrittenFile } from "./tar-writer.ts";

/* What is in an archive, and what is made of one that is damaged. */

let folder: string;
let archive: string;
const never = new AbortController().signal;
const configOf = (dataFolder: string) => readConfig({ DATA_DIR: dataFolder }, () => "observer");
const longName = `files/images/${"far/".repeat(30)}${"Wüste".repeat(20)}.txt`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ourvidz-archive-"));
  archive = join(folder, "whole.tar");
  const data = join(folder, "data");
  const embedded = await openEmbedded(configOf(data));
  await embedded.close();
  mkdirSync(join(data, longName, ".."), { recursive: true });
  writeFileSync(join(data, longName), "a desert");
  writeFileSync(join(data, "files/picture.png"), "mountains".repeat(200));
  writeFileSync(join(data, "files/empty.txt"), "");
  await backUp(configOf(data), archive, never);
});

afterAll(() => rmSync(folder, { recursive: true }));

it("is whole: what comes out is what went in, whatever its name and its size", async () => {
  const target = join(folder, "whole");
  await restore(configOf(target), archive, never);
  const names = await filesBelow(join(target, "files"));
  expect(names.toSorted()).toEqual([longName.slice("files/".length), "empty.txt", "picture.png"].toSorted());
  for (const name of ["signing.key", ...names.map((each) => `files/${each}`)])
    expect(readFileSync(join(target, name))).toEqual(readFileSync(join(folder, "data", name)));
  expect(statSync(target).mode & 0o777).toBe(0o700);
  expect(readdirSync(target).filter((name) => name.startsWith("."))).toEqual([]);
});

it.runIf(process.getuid?.() === 0)("belongs to the owner of the folder when root restores it", async () => {
  const target = join(folder, "of-the-service");
  mkdirSync(target);
  chownSync(target, 10_077, 10_077);
  await restore(configOf(target), archive, never);
  const names = readdirSync(target, { recursive: true, encoding: "utf8" });
  expect(names).toEqual(expect.arrayContaining(["ourvidz.db", "signing.key", longName]));
  expect(names.filter((name) => statSync(join(target, name)).uid !== 10_077)).toEqual([]);
});

const damages = {
  "a picture": { at: (bytes: Buffer) => bytes.indexOf("mountains") + 100, says: /files\/picture\.png is not what/ },
  "the database": { at: (bytes: Buffer) => bytes.indexOf("SQLite format 3") + 5000, says: /ourvidz\.db is not what/ },
  "the manifest": { at: (bytes: Buffer) => bytes.indexOf("createdAt") + 13, says: /backup\.json is not what/ },
  "a header": { at: (bytes: Buffer) => bytes.indexOf("files/picture.png") + 2, says: /damaged/ },
  "the checksums": { at: (bytes: Buffer) => bytes.indexOf('"sha256":"') + 12, says: /is not what was put into it/ },
};

it.each(Object.entries(damages))(
  "is refused when a bit of %s has changed, and no folder is made",
  async (_, damage) => {
    const bytes = readFileSync(archive);
    const at = damage.at(bytes);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await expectRefused(bytes, damage.says);
  },
);

it("is refused when it is cut short, between two files too", async () => {
  const bytes = readFileSync(archive);
  await expectRefused(bytes.subarray(0, bytes.lastIndexOf(checksumsName)), /checksums\.json, is missing/);
  await expectRefused(bytes.subarray(0, bytes.indexOf("mountains") + 10), /damaged/);
});

it("is refused when its database was damaged before it came into it", async () => {
  const content = join(folder, "content");
  mkdirSync(content);
  execFileSync("tar", ["-xf", archive, "-C", content]);
  rmSync(join(content, checksumsName));
  const database = readFileSync(join(content, "ourvidz.db"));
  writeFileSync(join(content, "ourvidz.db"), database.fill(0xff, 4096, 3 * 4096));
  const made = join(folder, "made.tar");
  const writer = await TarWriter.create(made);
  const files: WrittenFile[] = [];
  for (const path of await filesBelow(content)) files.push(await writer.addFile(path, join(content, path), never));
  await writer.addText(checksumsName, JSON.stringify({ files }));
  await writer.finish();
  await writer.close();
  await expectRefused(readFileSync(made), /The database in .* is damaged/);
});

async function expectRefused(bytes: Uint8Array, says: RegExp): Promise<void> {
  const damaged = join(folder, "damaged.tar");
  const target = join(folder, "target");
  writeFileSync(damaged, bytes);
  const outcome = restore(configOf(target), damaged, never);
  await expect(outcome).rejects.toMatchObject({ code: "INVALID_REQUEST", message: expect.stringMatching(says) });
  await expect(outcome).rejects.toThrow(damaged);
  expect(existsSync(target)).toBe(false);
}
