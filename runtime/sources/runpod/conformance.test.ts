import { afterAll, beforeAll } from "vitest";
import { type Emulator, startEmulator } from "#functions/runpod/emulator.ts";
import { openHome } from "#functions/runpod/testing/home.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { allCapabilities, describeJobSource } from "#test/conformance/sources/index.ts";
import { JobQueues } from "../job-queues.ts";
import { openHarness, type SqliteHarness } from "../sqlite/testing/sqlite-harness.ts";
import { openRunpodHarness } from "./testing/runpod-harness.ts";

const key = "a-key-for-tests-0001";
let platform: SqliteHarness;
let emulator: Emulator;
let home: Awaited<ReturnType<typeof openHome>>;
let endpoints = 0;

beforeAll(async () => {
  platform = await openHarness({ durable: false });
  home = await openHome();
  emulator = await startEmulator({
    ...home,
    source: platform.source,
    queue: new JobQueues(new Map([["sqlite", platform.queue]])),
    apiKeys: [key],
    host: "127.0.0.1",
    port: 0,
    log: await createLogger({ level: "silent", format: "json" }),
    nowMs: platform.nowMs,
  });
});

afterAll(async () => {
  await emulator.close();
  await home.close();
  await platform.close();
});

// Page 26 says what of it RunPod's protocol does not have; what is so instead is in runpod-source.test.ts.
describeJobSource("runpod", () => openRunpodHarness(emulator, `endpoint-${endpoints++}`, key), {
  ...allCapabilities,
  priorities: false,
  delays: false,
  affinity: false,
  idempotency: false,
  records: false,
  cancelling: false,
  redriving: false,
  dependencies: false,
  logs: false,
  shared: false,
  waiting: false,
});
