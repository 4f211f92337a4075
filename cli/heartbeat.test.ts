import { expect, onTestFinished, test } from "vitest";
import { startRegistrationService } from "#runtime/heartbeat/testing/registration-service.ts";
import { freePort } from "#test/support/machine.ts";
import { startCli, temporaryFolder } from "./testing/run-cli.ts";

const key = { WAN_WORKER_API_KEY: "a-key-for-tests-0001" };

test("a container registers its address when it serves it, and takes it back when it is stopped", async () => {
  const service = await startRegistrationService();
  onTestFinished(() => service.close());
  const port = String(await freePort());
  const container = startCli(await temporaryFolder(), ["start", "--port", port], {
    ...key,
    SUPABASE_URL: service.url,
    SUPABASE_SERVICE_KEY: service.secretKey,
    PUBLIC_URL: `http://127.0.0.1:${port}/`,
    WORKER_ID: "pod-1",
    WORKERS: "mule",
  });
  await container.seen("registered");
  expect(service.containers.get("pod-1")).toMatchObject({
    worker_url: `http://127.0.0.1:${port}`,
    detection_method: "PUBLIC_URL",
    status: "active",
    // Those of the worker that runs here, not of the others whose handlers are there.
    capabilities: ["mule", "stubborn"],
  });
  container.child.kill("SIGTERM");
  const { exitCode, stderr } = await container.ended;
  expect(exitCode).toBe(0);
  expect(service.containers.get("pod-1")).toMatchObject({ status: "stopped" });
  expect(stderr).not.toContain(service.secretKey);
});

test.each([
  [{ ...key, PUBLIC_URL: "https://gpu.example" }, "SUPABASE_URL and SUPABASE_SERVICE_KEY are not set"],
  [
    { SUPABASE_URL: "http://127.0.0.1:9", SUPABASE_SERVICE_KEY: "sb_secret_of_a_test" },
    "neither PUBLIC_URL nor RUNPOD_POD_ID tells",
  ],
])("with %j it says once why it is not registered, and goes on", async (env, reason) => {
  const container = startCli(await temporaryFolder(), ["start", "--port", "0"], { ...env, WORKERS: "mule" });
  await container.seen(reason);
  await container.seen("listening on http");
  container.child.kill("SIGTERM");
  const { exitCode, stderr } = await container.ended;
  expect(exitCode).toBe(0);
  expect(stderr.split(reason).length).toBe(2);
});
