import { describe, expect, it } from "vitest";
import { callbackResponse, jobCallback, jobCallbackWithUrls, withAssetUrls } from "./callback.ts";
import { describeProblems, parseWith } from "./problems.ts";

const asset = {
  type: "image",
  url: "user/job/0.png",
  thumbnail_url: "user/job/0.thumb.webp",
  mime_type: "image/png",
  size_bytes: 1_048_576,
  index: 0,
  metadata: { seed: 42 },
};
const completed = {
  job_id: "job-1",
  status: "completed",
  attempt: 1,
  assets: [asset],
  error_message: null,
  metadata: { job_type: "sdxl_image_fast", seed: 42, performance_ratio: 0.52, ignored: ["novelty"], own: { key: 1 } },
};

function accepted(input: unknown) {
  const result = parseWith(jobCallback, input);
  if (!result.ok) throw new Error(describeProblems(result.problems));
  return result.value;
}

function refused(input: unknown) {
  const result = parseWith(jobCallback, input);
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.value)}`);
  return result.problems.map(({ field }) => field);
}

it("reads a completed callback, keeping metadata that it does not know", () => {
  expect(accepted(completed)).toEqual(completed);
});

it("reads what older containers leave out", () => {
  expect(accepted({ job_id: "a", status: "processing", assets: null, metadata: null })).toEqual({
    job_id: "a",
    status: "processing",
    attempt: 1,
    assets: [],
    metadata: {},
  });
});

it("passes the app's ids through untouched", () => {
  const ids = { image_id: null, video_id: 7, character_id: "c" };
  expect(accepted({ ...completed, ...ids })).toMatchObject(ids);
});

describe("assets as paths", () => {
  it("are what older consumers get", () => {
    const sent = withAssetUrls(accepted(completed));
    expect(sent.assets).toEqual(["user/job/0.png"]);
    expect(parseWith(jobCallbackWithUrls, sent)).toEqual({ ok: true, value: sent });
  });

  it("are read as assets", () => {
    const { assets } = accepted({ ...completed, assets: ["a/0.png", "a/1.MP4?x=1", "a/2.txt"] });
    expect(assets).toEqual([
      { type: "image", url: "a/0.png", index: 0 },
      { type: "video", url: "a/1.MP4?x=1", index: 1 },
      { type: "text", url: "a/2.txt", index: 2 },
    ]);
  });
});

describe("a completed callback without assets", () => {
  it.each([
    [{ job_type: "sdxl_image_fast" }],
    [{ job_type: "video_fast" }],
    [{ job_type: "wan_generate" }],
    [{ job_type: "image_fast", content_type: "text" }],
    [{ job_type: "of_a_deployment", content_type: "video" }],
    [{ content_type: "image" }],
  ])("is refused with %j", (metadata) => {
    expect(refused({ ...completed, assets: [], metadata })).toEqual(["assets"]);
    expect(refused({ ...completed, assets: undefined, metadata })).toEqual(["assets"]);
    expect(parseWith(jobCallbackWithUrls, { ...completed, assets: [], metadata }).ok).toBe(false);
  });

  it.each([{ job_type: "chat" }, { job_type: "of_a_deployment" }, { content_type: "text" }, {}])(
    "is read with %j",
    (metadata) => {
      expect(accepted({ ...completed, assets: [], metadata }).assets).toEqual([]);
    },
  );

  it.each(["failed", "cancelled", "processing"])("is read when it is %s", (status) => {
    expect(accepted({ ...completed, assets: [], status }).status).toBe(status);
  });
});

it.each([
  [{ status: "done" }, ["status"]],
  [{ job_id: "../a" }, ["job_id"]],
  [{ attempt: 0 }, ["attempt"]],
  [{ assets: [{ ...asset, index: -1, type: "sound" }] }, ["assets.0.type", "assets.0.index"]],
  [{ assets: [7] }, ["assets.0"]],
  [{ metadata: { progress: 1.5 } }, ["metadata.progress"]],
  [{ metadata: { seed: "42" } }, ["metadata.seed"]],
])("refuses %j", (change, fields) => {
  expect(refused({ ...completed, ...change })).toEqual(fields);
});

it("reads the edge function's answer", () => {
  const answer = {
    success: true,
    message: "Job updated",
    debug: {
      job_id: "job-1",
      jobStatus: "completed",
      jobType: "sdxl_image_fast",
      format: "image",
      quality: "fast",
      isSDXL: true,
      isEnhanced: false,
      assetsProcessed: 1,
      processingTimestamp: "2025-07-16T12:00:00Z",
    },
  };
  expect(callbackResponse.parse(answer)).toEqual(answer);
  expect(callbackResponse.parse({ success: true, message: "known", skipped: true }).skipped).toBe(true);
  expect(callbackResponse.safeParse({ message: "?" }).success).toBe(false);
});
