import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { testHandlers } from "./support/runtime.ts";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

it("a container whose loop has died lets its job finish, delivers it, and ends so that it is started again", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-loop-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const embedded = await openEmbedded(readConfig({ DATA_DIR: folder }, () => "observer"));
  onTestFinished(() => embedded.close());
  const config = { steps: 40, step_ms: 50 };
  const job = jobEnvelope.parse({ id: "job", type: "noop", prompt: "a quiet lake", config });
  await embedded.source.enqueue(job, { worker: "test" });

  const container = spawn(
    process.execPath,
    ["--import", file("support/break-loop.js"), file("../cli/ourvidz.js"), "start"],
    {
      env: { PATH: process.env.PATH, DATA_DIR: folder, HANDLERS_DIR: testHandlers, PORT: "0", LOG_FORMAT: "json" },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  onTestFinished(() => void container.kill("SIGKILL"));
  let log = "";
  container.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  await expect.poll(async () => (await embedded.source.get("job"))?.progress, { timeout: 20_000 }).toBeGreaterThan(0);
  container.kill("SIGUSR2");
  const [code] = await once(container, "exit");
  expect(log).toContain("the dispatcher has stopped taking jobs");
  expect(log).toContain("The loop that takes jobs has died (signals cannot be joined)");
  expect(code).toBe(1);
  expect(await embedded.source.get("job")).toMatchObject({ status: "completed", attempt: 1 });
  expect(embedded.callbacks.of("job").at(-1)?.status).toBe("completed");
}, 60_000);
