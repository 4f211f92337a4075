import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { linkTree } from "./link-tree.ts";

function tree(...files: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-link-tree-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), file);
  }
  return folder;
}

it("gives files a second name, and leaves out what is under way, links and what has gone", async () => {
  const source = tree("scratch/1/0.png", "job/1/0.png", "job/1/scratch/half.mp4", "job/1/inputs/a.png");
  symlinkSync("/etc/passwd", join(source, "job/1/link"));
  const target = join(tree(), "target");
  await linkTree(source, target, /^[^/]+\/[^/]+\/(?:scratch|inputs)$/);
  await linkTree(join(source, "gone"), target, /^$/);
  const found = readdirSync(target, { recursive: true }).map(String).toSorted();
  expect(found).toEqual(["job", "job/1", "job/1/0.png", "scratch", "scratch/1", "scratch/1/0.png"]);
  expect(statSync(join(target, "job/1/0.png")).ino).toBe(statSync(join(source, "job/1/0.png")).ino);
});

it("may be repeated for what has come meanwhile", async () => {
  const source = tree("a/1");
  const target = join(tree(), "target");
  await linkTree(source, target, /^$/);
  writeFileSync(join(source, "a/2"), "");
  await linkTree(source, target, /^$/);
  expect(readdirSync(join(target, "a"))).toEqual(["1", "2"]);
});
