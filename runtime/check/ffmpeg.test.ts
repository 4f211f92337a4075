import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defineHandler, type Handler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { Registry } from "#runtime/job-types/registry.ts";
import { findOnThisMachine, tryFfmpeg } from "./ffmpeg.ts";

const folder = mkdtempSync(join(tmpdir(), "ourvidz-check-"));
afterAll(() => rmSync(folder, { recursive: true }));

function makes(produces: Handler["produces"]): Registry {
  const retry = { maxAttempts: 1, timeoutSeconds: 30 };
  const run = async () => ({});
  return new Registry([defineHandler({ type: "clip", worker: "test", produces, input: jobEnvelope, retry, run })]);
}

const none = async () => null;

function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe("tryFfmpeg", () => {
  it("reports which ffmpeg there is, where, and what it encodes with", async () => {
    const encoders = '" V....D libx264 x" " V....D libvpx-vp9 x" " A....D aac x" " V....D mpeg4 x"';
    const onPath = script(
      "good",
      `case "$*" in *-encoders*) printf "%s\\n" ${encoders};; *) echo "ffmpeg version 7.1 x";; esac`,
    );
    expect(await tryFfmpeg(makes("video"), (tool) => findOnThisMachine(tool, onPath))).toMatchObject({
      status: "ok",
      message: "ffmpeg 7.1 on the PATH, with libx264, libvpx-vp9",
    });
  });

  it("takes the npm packages' where the PATH has none", async () => {
    const nowhere = join(folder, "nowhere");
    expect(await tryFfmpeg(makes("video"), (tool) => findOnThisMachine(tool, nowhere))).toMatchObject({
      status: "ok",
      message: expect.stringMatching(/^ffmpeg \S+ of the npm package @ffmpeg-installer, with libx264/),
    });
  });

  it("fails without one only where a job type makes videos", async () => {
    const message =
      "ffmpeg cannot be run: install ffmpeg and put it on the PATH, or install the optional npm packages (npm ci)";
    expect(await tryFfmpeg(makes("video"), none)).toMatchObject({
      status: "failed",
      message: `${message} (needed by clip).`,
    });
    expect(await tryFfmpeg(makes("image"), none)).toMatchObject({
      status: "warning",
      message: `${message} (only videos need it).`,
    });
  });

  it("fails without ffprobe, and with an ffmpeg that cannot encode H.264", async () => {
    const poor = script("poor", 'echo "ffmpeg version 9 x"\necho " V....D libvpx-vp9 x"');
    const noProbe = async (tool: "ffmpeg" | "ffprobe") =>
      tool === "ffmpeg" ? await findOnThisMachine(tool, poor) : null;
    expect((await tryFfmpeg(makes("video"), noProbe)).message).toMatch(/^ffprobe cannot be run/);
    expect((await findOnThisMachine("ffmpeg", poor))?.isPackaged).toBe(true);
    const onlyPoor = async () => ({ command: poor, version: "9", isPackaged: false });
    expect(await tryFfmpeg(makes("video"), onlyPoor)).toMatchObject({
      status: "failed",
      message: expect.stringMatching(/^ffmpeg 9 on the PATH has no encoder libx264 for MP4: install one that has/),
    });
  });
});
