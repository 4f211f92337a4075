import { onTestFinished } from "vitest";
import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import type { Lease } from "../../job-source.ts";
import type { RunpodSourceOptions } from "../options.ts";
import { RunpodSource } from "../runpod-source.ts";
import { RunpodServer } from "./runpod-server.ts";

const parameters = z.object({ steps: z.number().int().optional(), seed: z.number().optional() });
/** What the container can run: two workers. */
const handlers = new Map([
  ["lake_image", { worker: "images", input: jobEnvelope, parameters }],
  ["lake_video", { worker: "videos", input: jobEnvelope }],
]);

export interface OpenSource {
  readonly server: RunpodServer;
  readonly source: RunpodSource;
  /** Resolves with the next leases. */
  taken(slots?: number): Promise<readonly Lease[]>;
  takeOne(): Promise<Lease>;
  /** Moves the process's own clock. */
  pass(ms: number): void;
}

export const request = (slots = 1) => [
  { worker: "images", slots },
  { worker: "videos", slots },
];

/** A container's source at a server that the test plays; both end with the test. Pauses are short. */
export async function openSource(options: Partial<RunpodSourceOptions> = {}): Promise<OpenSource> {
  const server = await new RunpodServer().listen();
  let passedMs = 0;
  const source = new RunpodSource({
    takeUrl: `${server.url}/job-take/$RUNPOD_POD_ID?gpu=$RUNPOD_GPU_TYPE_ID`,
    outputUrl: `${server.url}/job-done/$RUNPOD_POD_ID/$ID?gpu=$RUNPOD_GPU_TYPE_ID`,
    streamUrl: `${server.url}/job-stream/$RUNPOD_POD_ID/$ID?gpu=$RUNPOD_GPU_TYPE_ID`,
    pingUrl: null,
    pingIntervalMs: 10_000,
    apiKey: "raw-key",
    podId: "pod-1",
    workerId: "pod-1",
    gpuType: "NVIDIA A40",
    defaultType: "lake_image",
    maxConcurrency: 1,
    refreshAfterJobs: 0,
    fitness: null,
    leaseSeconds: 30,
    hostname: "host",
    handlerOf: (type) => handlers.get(type),
    knownTypes: () => [...handlers.keys()],
    monotonicMs: () => performance.now() + passedMs,
    ...options,
    timings: {
      postPausesMs: [1, 1],
      errorPausesMs: [1],
      floorMs: 1,
      throttledMs: 1,
      progressEveryMs: 0,
      ...options.timings,
    },
  });
  const stopping = new AbortController();
  onTestFinished(async () => {
    stopping.abort();
    await source.close();
    await server.close();
  });
  const taken = async (slots = 1): Promise<readonly Lease[]> => {
    for (;;) {
      const { leases } = await source.take(request(slots));
      if (leases.length > 0 || stopping.signal.aborted) return leases;
      await source.waitForChange(60_000, stopping.signal, "jobs");
    }
  };
  return {
    server,
    source,
    taken,
    async takeOne() {
      const [lease] = await taken();
      if (lease === undefined) throw new Error("no job was taken");
      return lease;
    },
    pass(ms) {
      passedMs += ms;
    },
  };
}
