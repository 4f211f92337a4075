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

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), "ourvidz-deploy-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

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

  const whenTool = it.runIf(spawnSync("promtool", ["--version"]).error === undefined);
  const cases = "test/house/prometheus-alerts.yaml";

  whenTool("pass promtool, and fire when they should and only then", () => {
    const promtool = (...args: string[]) => execFileSync("promtool", args, { cwd: project, encoding: "utf8" });
    expect(promtool("check", "rules", file)).toMatch(/SUCCESS/);
    expect(promtool("test", "rules", cases)).toMatch(/SUCCESS/);
  });

  it("are each tried with a case in which it fires, and with cases in which it does not", () => {
    const expected = z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()) });
    const { tests } = z
      .object({ tests: z.array(z.object({ alert_rule_test: z.array(expected) })) })
      .parse(parse(read(cases)));
    const tried = tests.flatMap((one) => one.alert_rule_test);
    const names = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)).toSorted();
    for (const fires of [true, false]) {
      const some = tried.filter(({ exp_alerts }) => exp_alerts.length > 0 === fires);
      expect([...new Set(some.map(({ alertname }) => alertname))].toSorted()).toEqual(names);
    }
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
  const input = z.strictObject({
    name: z.string(),
    type: z.enum(["string", "number", "boolean", "huggingface"]),
    description: z.string(),
    default: z.union([z.string(), z.number(), z.boolean()]),
    required: z.boolean(),
    advanced: z.boolean().optional(),
  });
  const variable = z
    .strictObject({ key: z.string(), value: z.string().optional(), input: input.optional() })
    .refine((one) => (one.value === undefined) !== (one.input === undefined), "a value, or an input");
  const machine = { gpuCount: z.int(), allowedCudaVersions: z.array(z.string().regex(/^13\.\d+$/)) };
  const hub = z.strictObject({
    title: z.string(),
    description: z.string(),
    type: z.literal("serverless"),
    category: z.enum(["audio", "embedding", "language", "video", "image"]),
    config: z.strictObject({
      ...machine,
      runsOn: z.enum(["GPU", "CPU"]),
      containerDiskInGb: z.int(),
      gpuIds: z.string(),
      env: z.array(variable),
    }),
  });
  const test = z.strictObject({ name: z.string(), input: z.record(z.string(), z.unknown()), timeout: z.int() });
  const tests = z.strictObject({
    tests: z.array(test).min(1),
    config: z.strictObject({ ...machine, gpuTypeId: z.string(), env: z.array(variable) }),
  });
  const hubFile = hub.parse(JSON.parse(read(".runpod/hub.json")));
  const testsFile = tests.parse(JSON.parse(read(".runpod/tests.json")));

  it("name settings that there are", () => {
    const documented = read("docs/6-configuration.md");
    const own = [...hubFile.config.env, ...testsFile.config.env].map(({ key }) => key);
    const ofProject = [...(read("runpod.toml").split("[project.env_vars]")[1] ?? "").matchAll(/^([A-Z_]+) =/gm)];
    const names = [...own, ...ofProject.map(([, name = ""]) => name)];
    expect(names.filter((name) => !documented.includes(`\`${name}\``))).toEqual([]);
  });

  it("start containers with settings that they take, beside the image's and the platform's", () => {
    const ofEndpoint = {
      RUNPOD_POD_ID: "p1",
      RUNPOD_ENDPOINT_ID: "e1",
      RUNPOD_WEBHOOK_GET_JOB: "https://api.runpod.ai/v2/e1/job-take/$ID?gpu=A40",
      RUNPOD_WEBHOOK_POST_OUTPUT: "https://api.runpod.ai/v2/e1/job-done/$RUNPOD_POD_ID/$ID?gpu=A40",
    };
    const image = { HOST: "0.0.0.0", PORT: "7860", DATA_DIR: "/data" };
    const given = ({ value, input }: z.infer<typeof variable>) => value ?? String(input?.default ?? "");
    for (const { env } of [hubFile.config, testsFile.config]) {
      const settings = Object.fromEntries(env.map((one) => [one.key, given(one)]));
      const config = readConfig({ ...image, ...ofEndpoint, ...settings }, () => "worker");
      expect(config.sources.map(({ name }) => name)).toEqual(["runpod"]);
    }
    const [, project = ""] = read("runpod.toml").split("[project.env_vars]");
    const ofPod = [...project.matchAll(/^([A-Z_]+) = "(.*)"$/gm)].map(([, name, value = ""]) => [
      name,
      value.replace(/\{\{ RUNPOD_SECRET_\w+ \}\}/, "0123456789abcdef0123"),
    ]);
    const pod = readConfig({ ...image, RUNPOD_POD_ID: "p1", ...Object.fromEntries(ofPod) }, () => "worker");
    expect(pod.http.apiKeys).toHaveLength(1);
  });

  it("test jobs that a container takes", async () => {
    const registry = await loadHandlers(join(project, "handlers"));
    for (const { input: job } of testsFile.tests) {
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

describe("the check of the CUDA image's libraries", () => {
  const check = (links: string, libraries: readonly string[]) => {
    const folder = temporary();
    writeFileSync(join(folder, "ldd"), `#!/bin/sh\nprintf '${links}'\n`, { mode: 0o755 });
    for (const name of libraries) writeFileSync(join(folder, name), "");
    const env = { PATH: `${folder}:${process.env.PATH}`, LD_LIBRARY_PATH: folder };
    const { status, stderr } = spawnSync(join(project, "deploy/check-cuda.sh"), { encoding: "utf8", env });
    return { status, stderr };
  };
  const loaded = ["libcudnn.so.9", "libcufft.so", "libnvrtc.so"];
  const found = "libcublas.so.13 => /usr/local/cuda/lib64/libcublas.so.13\\n";

  it("passes without the driver, which comes with the host", () => {
    expect(check(`${found}libcuda.so.1 => not found\\n`, loaded)).toEqual({ status: 0, stderr: "" });
  });

  it("names what is missing, also of what the provider loads only when it needs it", () => {
    const other = "libcudart.so.13 => not found\\nlibcublas.so.13 => not found\\nlibcublas.so.13 => not found\\n";
    expect(check(other, ["libcudnn.so.9", "libcufft.so"])).toEqual({
      status: 1,
      stderr: expect.stringMatching(/: libcublas\.so\.13 libcudart\.so\.13 libnvrtc\.so$/m),
    });
  });
});

it("the CUDA image's libraries lie in one folder, with their versions and without", () => {
  const folder = temporary();
  const pip = `#!/bin/sh
[ "$7" = "${join(project, "deploy/cuda-requirements.txt")}" ] || exit 3
for each in cu13/lib/libcublas.so.13 cudnn/lib/libcudnn.so.9 cu13/lib/libcudart_static.a; do
  mkdir -p "$5"/nvidia/$(dirname $each) && touch "$5"/nvidia/$each
done
`;
  writeFileSync(join(folder, "pip"), pip, { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env.PATH}` };
  execFileSync(join(project, "deploy/cuda-libraries.sh"), [join(folder, "libraries")], { env });
  const names = ["libcublas.so", "libcublas.so.13", "libcudnn.so", "libcudnn.so.9"];
  expect(readdirSync(join(folder, "libraries")).toSorted()).toEqual(names);
});

it("every file of the deploy folder is mentioned on the page", () => {
  const page = read("docs/25-deploy.md");
  const names = readdirSync(join(project, "deploy"));
  expect(names.filter((name) => !page.includes(name))).toEqual([]);
});
