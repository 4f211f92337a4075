import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

/*
 * A disk that is really full: a small tmpfs. Mounting one takes root, which CI has.
 */
const cli = fileURLToPath(new URL("../cli/ourvidz.js", import.meta.url));
const handlers = fileURLToPath(new URL("./support/handlers", import.meta.url));
const isRoot = process.getuid?.() === 0;

let disk: string;

function ourvidz(...args: string[]) {
  const env = { PATH: process.env.PATH, HANDLERS_DIR: handlers, LOG_LEVEL: "silent" };
  return spawnSync(process.execPath, [cli, ...args, "--json"], { encoding: "utf8", env, timeout: 60_000 });
}

/** Leaves about `bytes` free. */
function fillDisk(bytes: number): void {
  const free = Number(execFileSync("stat", ["-f", "-c", "%a", disk], { encoding: "utf8" })) * 4096;
  writeFileSync(join(disk, "ballast"), Buffer.alloc(Math.max(0, free - bytes)));
}

describe.runIf(isRoot)("a full disk", () => {
  beforeEach(() => {
    disk = mkdtempSync(join(tmpdir(), "ourvidz-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]);
  });

  afterEach(() => {
    execFileSync("umount", ["-l", disk]);
    rmSync(disk, { recursive: true, force: true });
  });

  it("is named before a job starts when not even the database fits", () => {
    fillDisk(0);
    const { status, stdout } = ourvidz("enqueue", "noop", "a lake", "--data", join(disk, "data"));
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "DISK_FULL", message: expect.stringContaining(disk) } });
  });

  it("fails the job in bounded time while its file is written, keeps the record, and it can be retried", () => {
    const data = join(disk, "data");
    const big = JSON.stringify({ asset_bytes: 3_000_000 });
    fillDisk(2_000_000);
    const { status, stdout } = ourvidz(
      "run",
      "noop",
      "a lake",
      "--config",
      big,
      "--data",
      data,
      "--out",
      join(disk, "out"),
    );
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      status: "failed",
      assets: [],
      error: { code: "DISK_FULL", message: expect.stringMatching(/free some space/) },
    });
    expect(readdirSync(disk).filter((name) => name === "out")).toEqual([]);
  });
});
