import { expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import type { AssetFile } from "#runtime/executor/protocol.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { type CallbackFacts, finalCallback } from "./build-callback.ts";

const job = jobEnvelope.parse({ id: "job", type: "sdxl_image_fast", image_id: "lake-7", prompt: "a lake" });
const lease: Lease = {
  jobId: "job",
  job,
  token: "token",
  attempt: 1,
  run: 1,
  queuedAtMs: 0,
  takenAtMs: 500,
  expiresAtMs: 60_000,
};
const facts: CallbackFacts = { lease, workerId: "container-1", nowMs: 4000, ranMs: 3000 };

it("says of a job what the runtime knows, whatever its handler says", () => {
  const metadata = {
    seeds: [7],
    job_type: "free",
    worker_id: "nobody",
    worker_version: "0",
    content_type: "video",
    image_id: "another",
    queue_time: -1,
    generation_time: 0,
    performance_ratio: 0,
  };
  const callback = finalCallback(facts, { kind: "complete", assets: [], metadata });
  expect(callback.metadata).toMatchObject({
    seeds: [7],
    job_type: "sdxl_image_fast",
    worker_id: "container-1",
    content_type: "image",
    image_id: "lake-7",
    queue_time: 0.5,
    generation_time: 3,
  });
  expect(callback.metadata).not.toMatchObject({ worker_version: "0" });
  expect(callback.metadata).not.toMatchObject({ performance_ratio: 0 });
});

it("says what was made of a job whose type makes a picture or a video", () => {
  const clip = {
    ...facts,
    lease: { ...lease, job: jobEnvelope.parse({ id: "job", type: "wan_generate", prompt: "a lake" }) },
  };
  const picture: AssetFile = {
    file: "0.png",
    type: "image",
    extension: "png",
    mimeType: "image/png",
    index: 0,
    sizeBytes: 9,
    metadata: {},
  };
  const contentOf = (assets: readonly AssetFile[]) =>
    finalCallback(clip, { kind: "complete", assets, metadata: {} }).metadata.content_type;
  expect(contentOf([picture])).toBe("image");
  expect(contentOf([{ ...picture, type: "video" }, picture])).toBe("video");
});
