import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DCLinter } from "dclint";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { type CliProcess, startCli, temporaryFolder } from "#cli/testing/run-cli.ts";
import { readConfig } from "#runtime/container/config.ts";
import { startRedis } from "./support/redis.ts";

/* compose.yaml is one by its specification, and its services start with the commands and settings that it gives them. */

const project = join(import.meta.dirname, "..");
const read = (file: string) => readFileSync(join(project, file), "utf8");

const service = z.looseObject({
  command: z.array(z.string()).default([]),
  profiles: z.array(z.string()).optional(),
  stop_grace_period: z.string().optional(),
  environment: z.record(z.string(), z.string()).default({}),
  env_file: z.array(z.object({ path: z.string(), required: z.boolean() })).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  build: z.object({ target: z.string() }).optional(),
  healthcheck: z.object({ test: z.tuple([z.literal("CMD")], z.string()) }).optional(),
});
const { services, volumes } = z
  .object({
    services: z.object({ valkey: service, gateway: service, worker: service, "worker-gpu": service }),
    volumes: z.record(z.string(), z.null()),
  })
  .parse(parse(read("compose.yaml"), { merge: true }));
const workers = [services.worker, services["worker-gpu"]];

/** With a value where one has to be set. */
function filled(environment: Readonly<Record<string, string>>): Record<string, string> {
  const values = Object.entries(environment).map(([name, value]) => [
    name,
    value.replace(/\$\{\w+:\?[^}]*\}/g, "0123456789abcdef0123"),
  ]);
  return Object.fromEntries(values);
}

describe("compose.yaml", () => {
  it("is one by the compose specification, and by a linter's rules on what does harm", () => {
    // An image that is built here has a name, so that two services share it.
    const linter = new DCLinter({ rules: { "no-build-and-image": 0 }, quiet: true, debug: false, exclude: [] });
    const results = z
      .array(z.object({ messages: z.array(z.looseObject({ type: z.string() })) }))
      .parse(linter.lintFiles([join(project, "compose.yaml")], false));
    expect(results).toHaveLength(1);
    expect(results.flatMap(({ messages }) => messages).filter(({ type }) => type === "error")).toEqual([]);
  });

  it("starts workers with settings that a container takes", () => {
    for (const worker of workers) {
      const config = readConfig(filled(worker.environment), () => "worker");
      expect(config.sources.map((source) => source.name)).toContain("upstash");
      expect(config.http.apiKeys).toHaveLength(1);
    }
  });

  it("leaves every other setting to a file, which is in no image and in no commit", () => {
    for (const worker of workers) expect(worker.env_file).toEqual([{ path: "worker.env", required: false }]);
    for (const ignored of [".gitignore", ".dockerignore"])
      expect(read(ignored).split("\n")).toEqual(expect.arrayContaining([".env", "worker.env"]));
  });

  it("builds targets of the Dockerfile, and waits for services and uses volumes that there are", () => {
    const targets = [...read("Dockerfile").matchAll(/^FROM .* AS ([\w-]+)$/gm)].map(([, name]) => name);
    for (const { build, depends_on, volumes: used } of Object.values(services)) {
      if (build !== undefined) expect(targets).toContain(build.target);
      expect(Object.keys(services)).toEqual(expect.arrayContaining(Object.keys(depends_on)));
      expect(Object.keys(volumes)).toEqual(expect.arrayContaining(used.map((each) => each.split(":")[0])));
    }
  });

  it("gives workers the time that their stop takes, and each its own profile", () => {
    expect(workers.map(({ profiles }) => profiles)).toEqual([["cpu"], ["gpu"]]);
    for (const worker of workers) expect(worker.stop_grace_period).toBe("100s");
  });
});

/** What the image sets beside what the file gives; of Node, the project's own is in the path. */
function imageEnvironment(): Record<string, string> {
  const [, settings = ""] = /^ENV ((?:.*\\\n)*.*)$/m.exec(read("Dockerfile")) ?? [];
  const pairs = [...settings.matchAll(/(\w+)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value]);
  return Object.fromEntries(pairs.filter(([name]) => name !== "PATH"));
}

/** "--name", "value", … as settings of a server. */
function settingsOf(words: readonly string[]): Record<string, string> {
  const pairs = words.join(" ").split(/ ?--/).filter(Boolean);
  return Object.fromEntries(pairs.map((pair) => pair.split(" ")));
}

async function addressOf(started: CliProcess): Promise<URL> {
  const { promise, resolve } = Promise.withResolvers<string>();
  started.child.stdout?.on("data", (text: string) => resolve(text));
  const [, address = ""] = /listening on (\S+)/.exec(await promise) ?? [];
  return new URL(address);
}

async function expectStops(started: CliProcess): Promise<void> {
  started.child.kill("SIGTERM");
  expect(await started.ended).toMatchObject({ exitCode: 0 });
}

it("its services start, each when the health check of the one before is passed, and end in order", async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  await redis.restart(settingsOf(services.valkey.command.slice(1)));
  const image = { ...imageEnvironment(), HANDLERS_DIR: "", MODELS_DIR: "" };
  const check = (words: readonly string[], env: Record<string, string>) =>
    execFileSync(process.execPath, words.slice(1), { env, stdio: "pipe" });

  const ofGateway = filled(services.gateway.environment);
  const gateway = startCli(await temporaryFolder(), [...services.gateway.command.slice(2), "--port", "0"], {
    ...image,
    ...ofGateway,
    REDIS_URL: ofGateway.REDIS_URL?.replace("valkey:6379", `127.0.0.1:${redis.port}`) ?? "",
  });
  const { port } = await addressOf(gateway);
  const [, ...gatewayCheck] = services.gateway.healthcheck?.test ?? [];
  check(
    gatewayCheck.map((word) => word.replaceAll("$$", "$").replace(":8079", `:${port}`)),
    ofGateway,
  );

  const ofWorker = filled(services.worker.environment);
  const folder = await temporaryFolder();
  const worker = startCli(folder, ["start"], {
    ...image,
    ...ofWorker,
    ...{ DATA_DIR: folder, PORT: "0" },
    UPSTASH_REDIS_REST_URL: ofWorker.UPSTASH_REDIS_REST_URL?.replace("gateway:8079", `127.0.0.1:${port}`) ?? "",
  });
  const address = await addressOf(worker);
  const [, imageCheck = "[]"] = /^ {2}CMD (\[.*\])$/m.exec(read("Dockerfile")) ?? [];
  check(z.array(z.string()).parse(JSON.parse(imageCheck)), { PORT: address.port });
  await worker.seen('"queues":["upstash"]');
  await expectStops(worker);
  await expectStops(gateway);
}, 120_000);
