import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

/* Elements of queues in which there is no job, from the command line: on the queue itself, and over a container. */

let gateway: TestGateway;
let container: TestContainer;
let environments: Record<"queue" | "container", Record<string, string>>;

beforeAll(async () => {
  gateway = await startTestGateway();
  const env = { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token };
  container = await startContainer({ ...env, OURVIDZ_KEY: testKey });
  container.runtime.dispatcher.pause();
  const { url } = await container.listen();
  environments = { queue: env, container: { OURVIDZ_URL: url, OURVIDZ_KEY: testKey } };
});

afterAll(async () => {
  await container.stop();
  await gateway.close();
});

beforeEach(async () => {
  const head = JSON.stringify({ worker: "test", reason: "the element is not JSON", at: Date.now() });
  await gateway.client().del("ourvidz:dead-letters");
  await gateway.client().lpush("ourvidz:dead-letters", `${head}\n{ a first one`, `${head}\n{ a second one`);
});

test("of a queue that does not exist are refused", async () => {
  const folder = await temporaryFolder();
  const listed = await runCli(folder, ["failures", "--undecodable", "--queue", "nope"], environments.queue);
  expect(listed).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/There is no queue "nope"; .*test_queue/),
  });
  const discarding = ["discard", "--undecodable", "--queue", "nope", "--yes"];
  const discarded = await runCli(folder, discarding, environments.queue);
  expect(discarded).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('There is no queue "nope"') });
  const overContainer = await runCli(folder, ["failures", "--undecodable", "--queue", "nope"], environments.container);
  expect(overContainer).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("There is no queue") });
}, 60_000);

test.each(["queue", "container"] as const)(
  "are listed, and discarded one by one or all of a queue: over the %s",
  async (over) => {
    const folder = await temporaryFolder();
    const cli = (...args: string[]) => runCli(folder, args, environments[over]);
    const listed = await cli("failures", "--undecodable", "--json");
    const { elements } = JSON.parse(listed.stdout);
    expect(elements).toMatchObject([{ element: "{ a second one" }, { element: "{ a first one" }]);
    const shown = await cli("failures", "--undecodable");
    expect(shown.stdout).toMatch(/test_queue\t[0-9a-f]{40}\t.*\tthe element is not JSON\t\{ a second one/);
    const one = ["discard", "--undecodable", elements[0].id, "--queue", "test_queue"];
    expect(await cli(...one)).toMatchObject({ exitCode: 0, stdout: "1 element discarded\n" });
    expect((await cli(...one)).stderr).toContain("has no undecodable element");
    const left = await cli("failures", "--undecodable", "--queue", "test_queue", "--json");
    expect(JSON.parse(left.stdout).elements).toMatchObject([{ element: "{ a first one" }]);
    const all = ["discard", "--undecodable", "--queue", "test_queue"];
    expect((await cli(...all)).stderr).toContain("--yes");
    expect((await cli(...all, "--dry-run")).stderr).toContain("--queue and --yes alone");
    expect((await cli("discard", "--undecodable", "--yes")).stderr).toContain("--queue sdxl_queue");
    expect(await gateway.client().llen("ourvidz:dead-letters")).toBe(1);
    expect(await cli(...all, "--yes", "--json")).toMatchObject({ exitCode: 0 });
    expect(await gateway.client().llen("ourvidz:dead-letters")).toBe(0);
    expect((await cli("failures", "--undecodable")).stderr).toContain("Every element of the queues holds a job.");
  },
  120_000,
);
