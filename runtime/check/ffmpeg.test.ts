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

describe("tryFfmpeg", () => {
  it("says which ffmpeg there is, where, and what it encodes with", async () => {
    expect(await tryFfmpeg(makes("video"))).toMatchObject({
      status: "ok",
      message: expect.stringMatching(/^ffmpeg \S+ on the PATH, with libx264\b.*libvpx-vp9/),
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
    const noProbe = async (tool: "ffmpeg" | "ffprobe") => (tool === "ffmpeg" ? await findOnThisMachine(tool) : null);
    expect((await tryFfmpeg(makes("video"), noProbe)).message).toMatch(/^ffprobe cannot be run/);
    const poor = join(folder, "poor");
    writeFileSync(poor, '#!/bin/sh\necho "ffmpeg version 9 x"\necho " V....D libvpx-vp9 x"\n');
    chmodSync(poor, 0o755);
    expect(await tryFfmpeg(makes("video"), (tool) => findOnThisMachine(tool, poor))).toMatchObject({
      status: "failed",
      message: expect.stringMatching(/^ffmpeg 9 on the PATH has no encoder libx264 for MP4: install one that has/),
    });
  });
});
