import { execFileSync, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { decodeFrames, psnr, shapesFrame } from "#pipelines/video/testing/clips.ts";
import { childrenOf, executorsOf, killNow } from "./support/kill.ts";
import { untilEvent } from "./support/runtime.ts";
import { type CallbackServer, startCallbackServer } from "./support/supabase/callback-server.ts";

/* A video from its frames to its file in the store and its callback, and what ends one half-way, in a real container. */

vi.setConfig({ testTimeout: 60_000 });

const handlers = fileURLToPath(new URL("./support/console-handlers", import.meta.url));
const cli = fileURLToPath(new URL("../cli/ourvidz.js", import.meta.url));
const pollLimit = { timeout: 20_000 };

let app: CallbackServer;
let container: TestContainer;
let url: string;

beforeAll(async () => {
  app = await startCallbackServer();
  container = await startContainer({
    HANDLERS_DIR: handlers,
    WORKERS: "media",
    CALLBACK_URL: app.url,
    JOB_CALLBACK_SECRET: app.secret,
  });
  url = (await container.listen()).url;
});

afterAll(async () => {
  await container.stop();
  await app.close();
});

interface HeldClip {
  readonly id: string;
  /** The executor that runs the job, and the ffmpeg that it has started. */
  readonly executor: number;
  readonly ffmpeg: number;
  goOn(): Promise<void>;
}

/** A job whose frames are all in the encoder but for the last one. */
async function holdClip(): Promise<HeldClip> {
  const gate = join(container.runtime.folder, randomUUID());
  const id = await container.runtime.submit("clip", { gate, frame_num: 17 }, { user_id: "ann" });
  await untilEvent(container.runtime, id, (event) => event.kind === "progress" && event.step === 16);
  for (const executor of await executorsOf(process.pid)) {
    const [ffmpeg] = await childrenOf(executor);
    if (ffmpeg !== undefined) return { id, executor, ffmpeg, goOn: () => writeFile(gate, "") };
  }
  throw new Error("no executor has an ffmpeg");
}

const isGone = (pid: number) => !existsSync(`/proc/${pid}`);

/** What lies in the folders of running and undelivered jobs. */
function workOf(jobId: string): string[] {
  const folder = join(container.runtime.folder, "work", jobId);
  return existsSync(folder) ? readdirSync(folder, { recursive: true }).map(String) : [];
}

it("is stored, served in parts, and reported with its thumbnail and what it is", async () => {
  const id = await container.runtime.submit("clip", { frame_num: 17, seed: 3 }, { user_id: "ann" });
  expect(await container.runtime.ended(id)).toMatchObject({ status: "completed" });
  const [asset] = app.known.get(`${id}/1/completed`)?.assets ?? [];
  const facts = { width: 160, height: 96, frames: 17, fps: 16, duration: 1.0625, codec: "h264", encoder: "libx264" };
  expect(asset).toEqual({
    ...{ type: "video", mime_type: "video/mp4", index: 0, size_bytes: expect.any(Number) },
    ...{ url: `ann/${id}/0.mp4`, thumbnail_url: `ann/${id}/0.thumb.webp`, metadata: { seed: 3, ...facts } },
  });

  const job = JSON.parse((await container.call("GET", `/jobs/${id}`)).text);
  const { pathname, search } = new URL(job.assets[0].url);
  const address = new URL(pathname + search, url);
  const whole = await fetch(address);
  expect(whole.headers.get("content-type")).toBe("video/mp4");
  const bytes = Buffer.from(await whole.arrayBuffer());
  expect(bytes).toHaveLength(job.assets[0].size_bytes);
  const part = await fetch(address, { headers: { Range: `bytes=${bytes.length - 100}-` } });
  expect([part.status, part.headers.get("content-range")]).toEqual([
    206,
    `bytes ${bytes.length - 100}-${bytes.length - 1}/${bytes.length}`,
  ]);
  expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(-100));

  const file = container.runtime.files.locate("clip", `ann/${id}/0.mp4`);
  const drawn = Array.from({ length: 17 }, (_, index) => shapesFrame(index + 3, 160, 96));
  expect(psnr(drawn, await decodeFrames(file, 160, 96))).toBeGreaterThan(38);
  await expect.poll(() => workOf(id), pollLimit).toEqual([]);
});

it("whose ffmpeg is killed from outside is made again", async () => {
  const clip = await holdClip();
  killNow(clip.ffmpeg);
  await clip.goOn();
  const record = await container.runtime.ended(clip.id);
  expect(record).toMatchObject({ status: "completed", attempt: 2 });
  expect(record.attempts[0]).toMatchObject({
    outcome: "retried",
    error: { code: "ENCODING_FAILED", message: expect.stringContaining("ffmpeg was killed after") },
  });
  expect(app.known.get(`${clip.id}/2/completed`)?.assets).toHaveLength(1);
});

it("whose executor is killed leaves no ffmpeg behind, and is made again", async () => {
  const clip = await holdClip();
  killNow(clip.executor);
  await expect.poll(() => isGone(clip.ffmpeg)).toBe(true);
  await clip.goOn();
  const record = await container.runtime.ended(clip.id);
  expect(record).toMatchObject({ status: "completed", attempt: 2 });
  expect(record.attempts[0]).toMatchObject({ error: { code: "EXECUTOR_CRASHED" } });
  const [asset] = record.result?.assets ?? [];
  expect(asset).toMatchObject({ metadata: { frames: 17 } });
});

it("that is cancelled while it is encoded leaves neither ffmpeg nor file", async () => {
  const clip = await holdClip();
  await container.runtime.queue.cancel(clip.id);
  expect(await container.runtime.ended(clip.id)).toMatchObject({ status: "cancelled" });
  expect(isGone(clip.ffmpeg)).toBe(true);
  await expect.poll(() => workOf(clip.id), pollLimit).toEqual([]);
});

function ourvidz(folder: string, config: object, env: Record<string, string | undefined> = {}) {
  const args = ["run", "clip", "a ball at noon", "--config", JSON.stringify(config), "--out", join(folder, "out")];
  return spawnSync(process.execPath, [cli, ...args, "--data", join(folder, "data"), "--json"], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, HANDLERS_DIR: handlers, LOG_LEVEL: "silent", ...env },
    timeout: 60_000,
  });
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-video-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

it("is made with the npm packages' ffmpeg where the PATH has none", async () => {
  const folder = newFolder();
  const { stdout, status } = ourvidz(folder, { frame_num: 5, seed: 7 }, { PATH: folder });
  expect([status, JSON.parse(stdout)]).toMatchObject([
    0,
    { status: "completed", assets: [{ file: join(folder, "out/a-ball-at-noon-7.mp4"), width: 160, height: 96 }] },
  ]);
  expect(await decodeFrames(join(folder, "out/a-ball-at-noon-7.mp4"), 160, 96)).toHaveLength(5);
});

it.runIf(process.getuid?.() === 0)("that fills the disk ends with DISK_FULL, and no half file is kept", () => {
  const folder = newFolder();
  const out = join(folder, "out");
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]);
  onTestFinished(() => void execFileSync("umount", ["-l", folder]));
  const { stdout, status } = ourvidz(folder, { width: 320, height: 320, frame_num: 33, crf: 0, noise: true });
  expect([status, JSON.parse(stdout)]).toMatchObject([
    1,
    { status: "failed", assets: [], error: { code: "DISK_FULL", message: expect.stringMatching(/free some space/) } },
  ]);
  expect(existsSync(out) ? readdirSync(out) : []).toEqual([]);
  const left = readdirSync(folder, { recursive: true }).map(String);
  expect(left.filter((name) => /\.(part|mp4)$/.test(name))).toEqual([]);
});
