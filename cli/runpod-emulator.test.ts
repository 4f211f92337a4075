import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startTestGateway } from "#test/support/gateway.ts";
import { runCli, startCli, temporaryFolder } from "./testing/run-cli.ts";

const command = ["runpod-emulator", "--port", "0"];

/** Starts it, and resolves with what it has printed when it listens. */
async function start(folder: string, args: readonly string[], env: Record<string, string> = {}) {
  const emulator = startCli(folder, [...command, ...args], env);
  const printed = Promise.withResolvers<string>();
  let text = "";
  emulator.child.stdout?.on("data", (part: string) => {
    text += part;
    if (args.includes("--json") ? text.includes("\n") : text.split("\n").length > 2) printed.resolve(text);
  });
  const out = await Promise.race([printed.promise, emulator.ended.then(({ stderr }) => Promise.reject(stderr))]);
  return { emulator, out };
}

test("--data names the folder of its own files, and the queue is that of the environment, as the start says", async () => {
  const gateway = await startTestGateway();
  onTestFinished(() => gateway.close());
  const folder = await temporaryFolder();
  const data = join(folder, "endpoints");
  const env = { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token };
  const { emulator, out } = await start(folder, ["--data", data, "--json"], env);
  const shown = JSON.parse(out);
  expect(shown).toEqual({ url: expect.stringMatching(/\/v2$/), source: "upstash", data_folder: data });
  const submitted = await fetch(`${shown.url}/lakes/run`, { method: "POST", body: '{"input":{}}' });
  expect(submitted.status).toBe(200);
  expect(JSON.parse((await runCli(folder, ["jobs", "--json"], env)).stdout)).toMatchObject({
    jobs: [{ type: "runpod_job", status: "queued" }],
  });
  emulator.child.kill("SIGTERM");
  expect((await emulator.ended).exitCode).toBe(0);
});

test("its offers stand beside those of a container of the same environment, and leave them as they are", async () => {
  const gateway = await startTestGateway();
  onTestFinished(() => gateway.close());
  const redis = gateway.client();
  const offering = () => redis.hkeys("ourvidz:offers").then((names) => names.toSorted());
  const shared = { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token };
  const env = { ...shared, RUNPOD_POD_ID: "laptop" };
  const container = startCli(await temporaryFolder(), ["start", "--port", "0"], { ...shared, WORKER_ID: "laptop" });
  await expect.poll(offering, { timeout: 15_000 }).toEqual(["laptop"]);
  const { emulator, out } = await start(await temporaryFolder(), ["--json"], env);
  const asking = new AbortController();
  const take = `${JSON.parse(out).url}/lakes/job-take/pod-1`;
  const asked = fetch(take, { signal: asking.signal }).catch(() => undefined);
  await expect.poll(offering, { timeout: 15_000 }).toEqual(["laptop", "laptop-emulator"]);
  asking.abort();
  await asked;
  emulator.child.kill("SIGTERM");
  expect((await emulator.ended).exitCode).toBe(0);
  expect(await offering()).toEqual(["laptop"]);
  container.child.kill("SIGTERM");
  expect((await container.ended).exitCode).toBe(0);
});

test("says in words where the jobs are", async () => {
  const folder = await temporaryFolder();
  const { emulator, out } = await start(folder, []);
  emulator.child.kill("SIGTERM");
  expect(out).toMatch(/^listening on http:\S+\/v2\njobs and results are in \S+\/data\n$/);
  expect((await emulator.ended).exitCode).toBe(0);
});

test("its jobs are shown and cancelled by the ids that its clients know", async () => {
  const folder = await temporaryFolder();
  const { emulator, out } = await start(folder, ["--json"]);
  const { url } = JSON.parse(out);
  const submitted = await fetch(`${url}/lakes/runsync?wait=1000`, { method: "POST", body: '{"input":{}}' });
  const { id } = JSON.parse(await submitted.text());
  const job_id = /^sync-(.+)-u1$/.exec(id)?.[1];
  const json = async (...args: string[]) => JSON.parse((await runCli(folder, [...args, "--json"])).stdout);
  expect(await json("job", id)).toMatchObject({ job_id, status: "queued" });
  expect(await json("cancel", id)).toEqual({ job_id, status: "cancelled", cancel_requested: true });
  expect(await json("job", job_id ?? "")).toMatchObject({ status: "cancelled" });
  emulator.child.kill("SIGTERM");
  expect((await emulator.ended).exitCode).toBe(0);
});
