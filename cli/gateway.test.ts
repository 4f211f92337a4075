import { expect, onTestFinished, test } from "vitest";
import { startRedis } from "#test/support/redis.ts";
import { runCli, startCli, temporaryFolder } from "./testing/run-cli.ts";

const token = "0123456789abcdef-token";

test("serves Redis at the address that it prints, keeps its token to itself, and ends with 0 at SIGTERM", async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const env = { REDIS_URL: redis.url, GATEWAY_TOKEN: token, LOG_LEVEL: "trace" };
  const gateway = startCli(await temporaryFolder(), ["gateway", "--port", "0"], env);
  await gateway.seen(/listening on http:\S+\n/);
  gateway.child.kill("SIGTERM");
  const { exitCode, stdout, stderr } = await gateway.ended;
  expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^listening on http:\/\/127\.0\.0\.1:\d+\n$/)]);
  expect(stdout + stderr).not.toContain(token);
});

test("answers what Upstash answers", async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const args = ["gateway", "--port", "0", "--redis", redis.url];
  const gateway = startCli(await temporaryFolder(), args, { GATEWAY_TOKEN: token });
  const address = Promise.withResolvers<string>();
  gateway.child.stdout?.on("data", (text: string) => address.resolve(text.replace("listening on ", "").trim()));
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${await address.promise}/set/key/value`, { headers });
  expect(await answer.json()).toEqual({ result: "OK" });
  gateway.child.kill("SIGTERM");
  expect((await gateway.ended).exitCode).toBe(0);
});

test.each([
  [["--host", "0.0.0.0"], {}, "set GATEWAY_TOKEN"],
  [[], { GATEWAY_TOKEN: "short" }, "GATEWAY_TOKEN: a token needs 16 characters or more"],
  [[], { REDIS_URL: "http://127.0.0.1" }, "REDIS_URL: must be like redis://127.0.0.1:6379"],
  [["--port", "70000"], {}, "port from 0 to 65535"],
])("%j with %o does not start: 2", async (args, env, message) => {
  const { exitCode, stderr } = await runCli(await temporaryFolder(), ["gateway", ...args], { ...env });
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)]);
});
