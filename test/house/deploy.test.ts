import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { checkJob } from "#contract/check-job.ts";
import { readConfig } from "#runtime/container/config.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";

/* What operators paste agrees with what it is about: settings that exist, metrics that exist, commands that exist. */

const project = join(import.meta.dirname, "../..");
const read = (file: string) => readFileSync(join(project, file), "utf8");

const services = z.object({
  services: z.record(
    z.string(),
    z.looseObject({
      command: z.array(z.string()).optional(),
      profiles: z.array(z.string()).optional(),
      stop_grace_period: z.string().optional(),
      environment: z.record(z.string(), z.string()).default({}),
      volumes: z.array(z.string()).default([]),
      depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
      build: z.object({ target: z.string() }).optional(),
    }),
  ),
  volumes: z.record(z.string(), z.null()),
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-deploy-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Settings with what stands for a value in them filled in. */
function filled(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      value.replace(/\$\{\w+:\?[^}]*\}/g, "0123456789abcdef0123").replace(/\$\{\w+:-([^}]*)\}/g, "$1"),
    ]),
  );
}

describe("compose.yaml", () => {
  const { services: all, volumes } = services.parse(parse(read("compose.yaml"), { merge: true }));

  it("starts workers with settings that a container takes", () => {
    for (const name of ["worker", "worker-gpu"]) {
      const config = readConfig(filled(all[name]?.environment ?? {}), () => "worker");
      expect(config.sources.map((source) => source.name)).toContain("upstash");
      expect(config.http.apiKeys).toHaveLength(1);
    }
  });

  it("builds targets of the Dockerfile, and waits for services and uses volumes that there are", () => {
    const targets = [...read("Dockerfile").matchAll(/^FROM .* AS ([\w-]+)$/gm)].map(([, name]) => name);
    for (const { build, depends_on, volumes: used } of Object.values(all)) {
      if (build !== undefined) expect(targets).toContain(build.target);
      expect(Object.keys(all)).toEqual(expect.arrayContaining(Object.keys(depends_on)));
      expect(Object.keys(volumes)).toEqual(expect.arrayContaining(used.map((each) => each.split(":")[0])));
    }
  });

  it("gives workers the time that their stop takes, and each its own profile", () => {
    expect([all.worker?.profiles, all["worker-gpu"]?.profiles]).toEqual([["cpu"], ["gpu"]]);
    for (const name of ["worker", "worker-gpu"]) expect(all[name]?.stop_grace_period).toBe("100s");
  });
});

describe("the alert rules", () => {
  const file = "deploy/prometheus-alerts.yaml";
  const rule = z.object({ alert: z.string(), expr: z.string(), annotations: z.object({ summary: z.string() }) });
  const { groups } = z
    .object({ groups: z.array(z.object({ name: z.string(), rules: z.array(rule) })) })
    .parse(parse(read(file)));

  it("are about metrics that there are", () => {
    const documented = [...read("docs/11-metrics.md").matchAll(/^\| `(ourvidz_\w+)` \|/gm)].map(([, name]) => name);
    const used = groups.flatMap(({ rules }) => rules.flatMap(({ expr }) => expr.match(/ourvidz_\w+/g) ?? []));
    expect(used.length).toBeGreaterThan(8);
    expect(used.map((name) => name.replace(/_bucket$/, "")).filter((name) => !documented.includes(name))).toEqual([]);
  });

  it.runIf(spawnSync("promtool", ["--version"]).error === undefined)("pass promtool", () => {
    expect(execFileSync("promtool", ["check", "rules", join(project, file)], { encoding: "utf8" })).toMatch(/SUCCESS/);
  });
});

it.runIf(spawnSync("systemd-analyze", ["--version"]).error === undefined)("the unit passes systemd's check", () => {
  const unit = join(temporary(), "ourvidz-worker.service");
  // The program has to be there.
  const text = read("deploy/ourvidz-worker.service").replace(
    "/opt/ourvidz-worker/node_modules/.bin/node",
    process.execPath,
  );
  writeFileSync(unit, text);
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", unit], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
});

describe("RunPod's files", () => {
  const input = z.object({ name: z.string(), type: z.enum(["string", "number", "boolean", "huggingface"]) });
  const variable = z.object({ key: z.string(), value: z.string().optional(), input: input.optional() });
  const hub = z.object({ type: z.literal("serverless"), config: z.object({ env: z.array(variable) }) });
  const test = z.object({ name: z.string(), input: z.record(z.string(), z.unknown()), timeout: z.number() });
  const tests = z.object({ tests: z.array(test), config: z.object({ env: z.array(variable) }) });

  it("name settings that there are", () => {
    const documented = read("docs/6-configuration.md");
    const own = [
      ...hub.parse(JSON.parse(read(".runpod/hub.json"))).config.env,
      ...tests.parse(JSON.parse(read(".runpod/tests.json"))).config.env,
    ].map(({ key }) => key);
    const ofProject = [...(read("runpod.toml").split("[project.env_vars]")[1] ?? "").matchAll(/^([A-Z_]+) =/gm)];
    const names = [...own, ...ofProject.map(([, name = ""]) => name)];
    expect(names.filter((name) => !documented.includes(`\`${name}\``))).toEqual([]);
  });

  it("test jobs that a container takes", async () => {
    const registry = await loadHandlers(join(project, "handlers"));
    for (const { input: job } of tests.parse(JSON.parse(read(".runpod/tests.json"))).tests) {
      const handler = registry.get(String(job.type));
      if (handler === undefined) throw new Error(`there is no handler for ${job.type}`);
      expect(checkJob(handler, { id: "test", ...job })).toMatchObject({ ok: true });
    }
  });
});

describe("models in an image", () => {
  const bake = (baked: string) => {
    const folder = temporary();
    writeFileSync(join(folder, "node"), `#!/bin/sh\necho "$@" >> ${folder}/calls\n`, { mode: 0o755 });
    const env = { PATH: `${folder}:${process.env.PATH}`, BAKED_MODELS: baked };
    const { status, stderr } = spawnSync(join(project, "deploy/bake-models.sh"), { encoding: "utf8", env });
    const calls = readdirSync(folder).includes("calls") ? readFileSync(join(folder, "calls"), "utf8").trim() : "";
    return { status, stderr, calls: calls.split("\n") };
  };

  it("are pulled one by one, each under its name", () => {
    expect(bake("")).toMatchObject({ status: 0, calls: [""] });
    expect(bake("sdxl=a/b@main wan=c/d")).toMatchObject({
      status: 0,
      calls: ["cli/ourvidz.js models pull a/b@main --as sdxl", "cli/ourvidz.js models pull c/d --as wan"],
    });
    expect(bake("a/b")).toMatchObject({ status: 2, stderr: expect.stringMatching(/write name=owner\/name/) });
  });
});

it("every file of the deploy folder is mentioned on the page", () => {
  const page = read("docs/25-deploy.md");
  const names = readdirSync(join(project, "deploy"));
  expect(names.filter((name) => !page.includes(name))).toEqual([]);
});
