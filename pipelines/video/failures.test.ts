import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { type FfmpegPaths, findFfmpeg, firstThatEncodes, firstThatRuns, packagedTool } from "./ffmpeg-paths.ts";
import { shapesFrame } from "./testing/clips.ts";
import { checkVideoEncoder, openVideoEncoder, type VideoEncoder } from "./video-encoder.ts";

const folder = mkdtempSync(join(tmpdir(), "video-failures-"));
afterAll(() => rmSync(folder, { recursive: true }));

const width = 256;
const height = 256;
const frame = shapesFrame(0, width, height);

function newFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

const open = (into: string, options: { signal?: AbortSignal; ffmpeg?: FfmpegPaths; encoder?: "cpu" | "auto" } = {}) =>
  openVideoEncoder({ path: join(into, "clip.mp4"), width, height, fps: 16, encoder: "cpu", ...options });

/** Processes of this machine whose command line names the folder, which only those that work in it do. */
function processesIn(into: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(into));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

async function writeUntilItFails(encoder: VideoEncoder): Promise<unknown> {
  try {
    for (;;) await encoder.write(frame);
  } catch (error) {
    return error;
  }
}

/** An ffmpeg that does what the script does with `"$@"`, the real one being `$FFMPEG`. */
async function scripted(name: string, script: string): Promise<FfmpegPaths> {
  const { ffmpeg, ffprobe } = await findFfmpeg();
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\nFFMPEG=${ffmpeg}\n${script}\n`);
  chmodSync(path, 0o755);
  return { ffmpeg: path, ffprobe };
}

describe("what ends an encoding", () => {
  it("a signal: nothing is left, no file and no process", async () => {
    const into = newFolder("aborted");
    const controller = new AbortController();
    const encoder = await open(into, { signal: controller.signal });
    await encoder.write(frame);
    const writing = writeUntilItFails(encoder);
    const reason = new Error("cancelled");
    const start = performance.now();
    controller.abort(reason);
    expect(await writing).toBe(reason);
    await expect(encoder.finish()).rejects.toBe(reason);
    await encoder.abort();
    expect(performance.now() - start).toBeLessThan(2000);
    expect(readdirSync(into)).toEqual([]);
    expect(processesIn(into)).toEqual([]);
  });

  it("a signal that is aborted already: nothing is started", async () => {
    const into = newFolder("before");
    await expect(open(into, { signal: AbortSignal.abort(new Error("too late")) })).rejects.toThrow("too late");
    expect(readdirSync(into)).toEqual([]);
  });

  it("abort, and a wrapper's own processes go along", async () => {
    const into = newFolder("wrapped");
    const encoder = await open(into, { ffmpeg: await scripted("wrapper", '"$FFMPEG" "$@"\nexit $?') });
    await encoder.write(frame);
    expect(processesIn(into).length).toBeGreaterThan(1);
    await encoder.abort();
    await expect.poll(() => processesIn(into)).toEqual([]);
    expect(readdirSync(into)).toEqual([]);
    await expect(encoder.write(frame)).rejects.toThrow("discarded");
  });

  it("ffmpeg killed from outside: another attempt may do", async () => {
    const into = newFolder("killed");
    const encoder = await open(into);
    await encoder.write(frame);
    const [pid = 0] = processesIn(into);
    process.kill(pid, "SIGKILL");
    expect(await writeUntilItFails(encoder)).toMatchObject({
      code: "ENCODING_FAILED",
      permanent: false,
      message: expect.stringMatching(/^ffmpeg was killed after \d+ frames?: SIGKILL/),
    });
    expect(readdirSync(into)).toEqual([]);
  });

  it("ffmpeg killed at the end", async () => {
    const into = newFolder("killed-at-end");
    const encoder = await open(into, {
      ffmpeg: await scripted(
        "stuck",
        'case "$*" in *pipe:0*) cat >/dev/null; kill -9 $$;; *) exec "$FFMPEG" "$@";; esac',
      ),
    });
    await encoder.write(frame);
    await expect(encoder.finish()).rejects.toMatchObject({ code: "ENCODING_FAILED", permanent: false });
    expect(readdirSync(into)).toEqual([]);
  });

  it("no ffmpeg, no ffprobe: how to get them", async () => {
    const into = newFolder("missing");
    const { ffmpeg, ffprobe } = await findFfmpeg();
    const missing = {
      code: "FFMPEG_MISSING",
      permanent: false,
      message: expect.stringContaining("apt-get install ffmpeg"),
    };
    const noFfmpeg = { ffmpeg: join(folder, "none"), ffprobe };
    await expect(open(into, { ffmpeg: noFfmpeg })).rejects.toMatchObject(missing);
    await expect(checkVideoEncoder({ width, height, fps: 16, ffmpeg: noFfmpeg })).rejects.toMatchObject(missing);
    await checkVideoEncoder({ width, height, fps: 16, container: "webm" });
    const encoder = await open(into, { ffmpeg: { ffmpeg, ffprobe: join(folder, "none") } });
    await encoder.write(frame);
    await expect(encoder.finish()).rejects.toMatchObject(missing);
    expect(readdirSync(into)).toEqual([]);
    await expect(firstThatRuns("ffmpeg", [join(folder, "none"), undefined])).rejects.toMatchObject(missing);
  });

  it("an ffmpeg without the encoder", async () => {
    const ffmpeg = await scripted(
      "poor",
      'case "$*" in *-encoders*) echo " V....D mpeg4 x";; *) exec "$FFMPEG" "$@";; esac',
    );
    expect(await firstThatEncodes([ffmpeg.ffmpeg, packagedTool("ffmpeg")])).toBe(packagedTool("ffmpeg"));
    expect(await firstThatEncodes([join(folder, "none"), ffmpeg.ffmpeg])).toBe(ffmpeg.ffmpeg);
    await expect(open(newFolder("poor-clips"), { ffmpeg })).rejects.toMatchObject({
      code: "FFMPEG_MISSING",
      message: expect.stringContaining("has no encoder libx264"),
    });
    // Other videos can be made where this one cannot: that is no matter of the machine.
    const onlyH264 = await scripted(
      "only-h264",
      'case "$*" in *-encoders*) echo " V....D libx264 x";; *) exec "$FFMPEG" "$@";; esac',
    );
    await checkVideoEncoder({ width, height, fps: 16, ffmpeg: onlyH264 });
    await expect(
      checkVideoEncoder({ width, height, fps: 16, container: "webm", ffmpeg: onlyH264 }),
    ).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: "The ffmpeg on this machine has no encoder libsvtav1 or libvpx-vp9 for webm: request mp4.",
    });
  });

  it("fewer frames in the file than were written", async () => {
    const into = newFolder("short");
    const twoFrames = `head -c ${2 * frame.length} | "$FFMPEG" "$@"; cat >/dev/null`;
    const ffmpeg = await scripted(
      "short-ffmpeg",
      `case "$*" in *pipe:0*) ${twoFrames};; *) exec "$FFMPEG" "$@";; esac`,
    );
    const encoder = await open(into, { ffmpeg });
    for (let count = 0; count < 4; count++) await encoder.write(frame);
    await expect(encoder.finish()).rejects.toMatchObject({
      code: "ENCODING_FAILED",
      message: expect.stringContaining("frames 2 instead of 4, 0.125 s instead of 0.25 s"),
    });
    expect(readdirSync(into)).toEqual([]);
  });

  it.runIf(process.getuid?.() === 0)("a full disk", async () => {
    const into = newFolder("full");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", into]);
    onTestFinished(() => void execFileSync("umount", [into]));
    const encoder = await open(into);
    const failure = (async () => {
      for (let count = 0; count < 30; count++) await encoder.write(randomBytes(frame.length));
      await encoder.finish();
    })();
    await expect(failure).rejects.toMatchObject({ code: "DISK_FULL", permanent: false });
    expect(readdirSync(into)).toEqual([]);
  });

  it.each([
    [{ width: 1 }, "The video's width is 1: it must be a whole number from 2 to 8192."],
    [{ height: 8193 }, "The video's height is 8193"],
    [{ width: 100.5 }, "The video's width is 100.5"],
    [{ fps: 0 }, "The video's fps is 0: it must be more than 0 and at most 240."],
    [{ crf: 60 }, "The video's crf is 60: for mp4 it must be from 0 to 51."],
  ])("%o is refused for good", async (wrong, message) => {
    const path = join(folder, "refused.mp4");
    const refused = openVideoEncoder({ path, width, height, fps: 16, ...wrong });
    await expect(refused).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      permanent: true,
      message: expect.stringContaining(message),
    });
  });

  it("no frames, and a frame of another size", async () => {
    const into = newFolder("frames");
    await expect((await open(into)).finish()).rejects.toMatchObject({ code: "UNSUPPORTED_OPTION" });
    const encoder = await open(into);
    await expect(encoder.write(frame.subarray(1))).rejects.toThrow(
      "has 196607 bytes instead of 256 · 256 · 3 = 196608",
    );
    await encoder.abort();
    expect(readdirSync(into)).toEqual([]);
  });
});

describe("the GPU's encoder", () => {
  const listed = 'case "$*" in *-encoders*) echo " V....D h264_nvenc x"; echo " V....D libx264 x"; exit;; esac';

  it("is not used where there is no driver, and nothing is reported of it", async () => {
    const into = newFolder("no-driver");
    const encoder = await open(into, { encoder: "auto" });
    await encoder.write(frame);
    const file = await encoder.finish();
    expect(file.encoder).toBe("libx264");
    expect(file.fellBack).toBeUndefined();
    const small = await openVideoEncoder({ path: join(into, "s.mp4"), width: 64, height: 64, fps: 16 });
    await small.write(shapesFrame(0, 64, 64));
    expect((await small.finish()).fellBack).toBeUndefined();
  });

  it("is used when it works, and with too small a picture not", async () => {
    const asCpu = `${listed}\nexec "$FFMPEG" $(echo "$@" | sed 's/h264_nvenc/libx264/; s/-preset p5 -tune hq -rc vbr -cq/-crf/')`;
    const ffmpeg = await scripted("nvenc", asCpu);
    const into = newFolder("nvenc-clips");
    const encoder = await open(into, { encoder: "auto", ffmpeg });
    await encoder.write(frame);
    expect(await encoder.finish()).toMatchObject({ encoder: "h264_nvenc", frames: 1 });
    const small = await openVideoEncoder({ path: join(into, "s.mp4"), width: 64, height: 64, fps: 16, ffmpeg });
    await small.write(shapesFrame(0, 64, 64));
    expect(await small.finish()).toMatchObject({ encoder: "libx264", fellBack: expect.stringContaining("64×64") });
  });

  it("that worked in the trial and has no session left: the same frames go to the CPU", async () => {
    const onlyTrial = `${listed}\ncase "$*" in *nvenc-*) cat >/dev/null; exit 0;; *h264_nvenc*) head -c 1000 >/dev/null; echo "OpenEncodeSessionEx failed: out of memory (10)" >&2; exit 1;; esac\nexec "$FFMPEG" "$@"`;
    const ffmpeg = await scripted("no-session", onlyTrial);
    const encoder = await open(newFolder("no-session-clips"), { encoder: "auto", ffmpeg });
    for (let count = 0; count < 5; count++) await encoder.write(frame);
    const file = await encoder.finish();
    expect(file).toMatchObject({ frames: 5, encoder: "libx264" });
    expect(file.fellBack).toContain("OpenEncodeSessionEx failed");
    const next = await open(newFolder("no-session-next"), { encoder: "auto", ffmpeg });
    await next.write(frame);
    expect(await next.finish()).toMatchObject({ encoder: "libx264", fellBack: expect.stringContaining("OpenEncode") });
  });
});

describe("beside and instead", () => {
  it("two at once have their own frames", async () => {
    const clips = [3, 7].map(async (count) => {
      const encoder = await open(newFolder(`two-${count}`));
      for (let index = 0; index < count; index++) await encoder.write(shapesFrame(index, width, height));
      return await encoder.finish();
    });
    expect((await Promise.all(clips)).map(({ frames }) => frames)).toEqual([3, 7]);
  });

  it("the npm packages' programs do the same", async () => {
    const paths = { ffmpeg: packagedTool("ffmpeg") ?? "none", ffprobe: packagedTool("ffprobe") ?? "none" };
    for (const container of ["mp4", "webm", "webp"] as const) {
      const path = join(folder, `packaged.${container}`);
      const encoder = await openVideoEncoder({ path, width, height, fps: 16, container, ffmpeg: paths });
      for (let index = 0; index < 5; index++) await encoder.write(shapesFrame(index, width, height));
      expect(await encoder.finish()).toMatchObject({ frames: 5, width, height });
    }
  });
});
