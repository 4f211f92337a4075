import { execFileSync, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeHub, type HubOptions, sha256 } from "#test/support/hub.ts";
import { otherFiles, sdxlWithWeights, smallSdxl } from "#test/support/hub-repository.ts";
import type { HubLimits } from "./hub-settings.ts";
import { type PullOptions, type PullPlan, type PullProgress, pullModel } from "./pull-model.ts";
import { wantedModel } from "./repository.ts";

const token = "hf_aTokenOfNobodyAtAll1234";
const repo = "somebody/sdxl";
const limits: HubLimits = { idleMs: 500, tries: 4, retryBaseSeconds: 0.01, retryMaxSeconds: 0.05 };
const weights = "unet/model.onnx_data";
const weightBytes = 3_000_000;

let models: string;
let hub: FakeHub;
let files: Record<string, Uint8Array>;

beforeEach(async () => {
  models = await mkdtemp(join(tmpdir(), "ourvidz-pull-"));
  files = await sdxlWithWeights(weightBytes);
  await startHub();
});
afterEach(async () => {
  await hub.stop();
  await rm(models, { recursive: true, force: true });
});

async function startHub(options: HubOptions = {}): Promise<void> {
  await hub?.stop().catch(() => undefined);
  hub = await FakeHub.start({ token, pageSize: 7, ...options });
  hub.put(repo, { files: { ...files, ...otherFiles() } });
}

function pull(options: Partial<PullOptions> = {}) {
  return pullModel({
    hub: { endpoint: hub.url, token },
    modelsFolder: models,
    wanted: wantedModel(repo, "sdxl"),
    need: "current",
    replace: false,
    signal: AbortSignal.timeout(30_000),
    limits,
    ...options,
  });
}

async function pulled(name = "sdxl"): Promise<Record<string, Uint8Array>> {
  const entries = await readdir(join(models, name), { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile() && entry.name !== ".pulled.json");
  const read = found.map(async ({ parentPath, name: file }) => {
    const path = join(parentPath, file);
    return [path.slice(join(models, name).length + 1), await readFile(path)] as const;
  });
  return Object.fromEntries(await Promise.all(read));
}

async function expectWhole(name = "sdxl") {
  const digests = (all: Record<string, Uint8Array>) =>
    Object.fromEntries(Object.entries(all).map(([path, content]) => [path, sha256(content)]));
  expect(digests(await pulled(name))).toEqual(digests(files));
  expect(await readdir(models)).toEqual([name]);
}

describe("a pull", () => {
  it("fetches what a worker loads and nothing else, and notes where it comes from", async () => {
    const plans: PullPlan[] = [];
    const { record, isNew } = await pull({ onPlan: (plan) => plans.push(plan) });
    await expectWhole();
    const commit = hub.commitOf(repo);
    expect(record).toMatchObject({ repo, revision: "main", commit });
    expect(isNew).toBe(true);
    expect(JSON.parse(await readFile(join(models, "sdxl/.pulled.json"), "utf8"))).toEqual(record);
    const listed = Object.fromEntries(record.files.map((file) => [file.path, file]));
    expect(listed[weights]).toEqual({
      path: weights,
      size_bytes: weightBytes,
      sha256: sha256(files[weights] ?? Buffer.of()),
    });
    expect(record.files).toHaveLength(Object.keys(files).length);
    const total = Object.values(files).reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(plans).toMatchObject([{ commit, totalBytes: total }]);
    // Only the one question which commit a branch is at names the branch.
    const named = hub.requests.map(({ path }) => path).filter((path) => path.includes("/main"));
    expect(new Set(named).size).toBe(1);
  });

  it("gives its token to the hub alone, and never to the storage that the hub sends it to", async () => {
    hub.put(repo, { files, access: "private" });
    await pull();
    await expectWhole();
    const [atHub, atStorage] = [
      hub.requests.filter(({ host }) => host === "hub"),
      hub.requests.filter(({ host }) => host === "storage"),
    ];
    expect(atStorage.length).toBeGreaterThan(4);
    expect(atHub.every(({ authorization }) => authorization === `Bearer ${token}`)).toBe(true);
    expect(atStorage.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it("does nothing when the commit is there, and puts another in its place only when that is wanted", async () => {
    await pull();
    hub.requests.length = 0;
    expect(await pull()).toMatchObject({ isNew: false });
    expect(hub.requests.map(({ path }) => path.split("?")[0])).toEqual([`/api/models/${repo}/revision/main`]);
    hub.requests.length = 0;
    expect(await pull({ need: "missing" })).toMatchObject({ isNew: false });
    expect(hub.requests).toEqual([]);

    files = { ...files, "generation_config.json": Buffer.from('{"steps": 3}') };
    hub.put(repo, { files });
    await expect(pull()).rejects.toMatchObject({ code: "INVALID_REQUEST", message: /--replace/ });
    expect(await pull({ replace: true })).toMatchObject({ isNew: true });
    await expectWhole();
  });

  it("touches no model of another make that has the name", async () => {
    await mkdir(join(models, "sdxl"));
    await writeFile(join(models, "sdxl/mine.txt"), "mine");
    await expect(pull({ replace: true })).rejects.toMatchObject({ code: "INVALID_REQUEST", message: /--as/ });
    expect(await pulled()).toEqual({ "mine.txt": Buffer.from("mine") });
    expect(hub.requests).toEqual([]);
  });

  it("fetches weights under any name that the graph gives them", async () => {
    const { [weights]: content = Buffer.of(), ...others } = files;
    const { onnxBytes } = await import("#runtime/check/models/testing/onnx-bytes.ts");
    const external = { location: "weights.pb", offset: 0, length: weightBytes };
    const graph = onnxBytes([{ name: "weights", count: weightBytes / 4, external }]);
    files = { ...others, "unet/model.onnx": graph, "unet/weights.pb": content };
    hub.put(repo, { files });
    await pull();
    await expectWhole();
  });
});

describe("a transfer that goes wrong", () => {
  /** The first `count` requests for the weights go wrong. */
  function weightsFault(count: number, fault: ReturnType<FakeHub["faultOf"]>): void {
    let left = count;
    hub.faultOf = ({ host, path }) => (host === "storage" && path.includes(weights) && left-- > 0 ? fault : undefined);
  }

  it("goes on from its last byte when it breaks off, however often, as long as it gets on", async () => {
    weightsFault(10, { kind: "break", afterBytes: 100_000 });
    await pull();
    await expectWhole();
    const atStorage = hub.requestsFor(weights).filter(({ host }) => host === "storage");
    expect(atStorage).toHaveLength(11);
    expect(new Set(atStorage.map(({ range }) => range)).size).toBe(11);
    // Each time over the hub: signed addresses run out.
    expect(hub.requestsFor(weights).filter(({ host }) => host === "hub")).toHaveLength(11);
  });

  it("waits as long as the hub asks for, and asks no more often", async () => {
    const startMs = performance.now();
    let left = 2;
    hub.faultOf = ({ path }) =>
      path.includes("/tree/") && left-- > 0
        ? { kind: "status", status: 429, headers: { "retry-after": "1" } }
        : undefined;
    await pull();
    expect(performance.now() - startMs).toBeGreaterThan(2000);
    await expectWhole();
  });

  it("takes silence for a break", async () => {
    weightsFault(1, { kind: "silence", afterBytes: 1_000_000 });
    await pull();
    await expectWhole();
  });

  it("ends with what is wrong when nothing comes any more, and has the rest for the next time", async () => {
    weightsFault(100, { kind: "silence", afterBytes: 0 });
    await expect(pull()).rejects.toMatchObject({
      code: "HUB_UNREACHABLE",
      message: /sent nothing for 0.5 seconds.*goes on/,
    });
    expect(await readdir(models)).toEqual([".pulling"]);
    hub.faultOf = () => undefined;
    hub.requests.length = 0;
    await pull();
    await expectWhole();
    expect(hub.requestsFor("text_encoder_2/model.onnx")).toEqual([]);
  });

  it("begins again where a server gives no ranges", async () => {
    weightsFault(1, { kind: "break", afterBytes: 1_000_000 });
    const broken = hub.faultOf;
    hub.faultOf = (request) => broken(request) ?? (request.host === "storage" ? { kind: "no ranges" } : undefined);
    await pull();
    await expectWhole();
  });

  it("asks the hub for another address when the storage takes the old one no more", async () => {
    weightsFault(2, { kind: "status", status: 403 });
    await pull();
    await expectWhole();
  });

  it("fetches wrong bytes again, and never makes a model of them", async () => {
    weightsFault(1, { kind: "wrong" });
    await pull();
    await expectWhole();
  });

  it("says so when the bytes are wrong again", async () => {
    weightsFault(100, { kind: "wrong" });
    await expect(pull()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: new RegExp(`^${weights} came with other content`),
    });
    expect(await readdir(models)).toEqual([".pulling"]);
    weightsFault(0, undefined);
    await pull();
    await expectWhole();
  });

  it("finds wrong bytes that lie in what an earlier pull has left", async () => {
    weightsFault(100, { kind: "break", afterBytes: 0 });
    await expect(pull()).rejects.toMatchObject({ code: "HUB_UNREACHABLE" });
    const part = join(models, ".pulling/sdxl", hub.commitOf(repo), `${weights}.part`);
    await writeFile(part, Buffer.alloc(1_000_000, 9));
    weightsFault(0, undefined);
    await pull();
    await expectWhole();
  });

  it("ends at once when it is to, and goes on later", async () => {
    await startHub({ bytesPerSecond: 1_000_000 });
    const stop = new AbortController();
    const reason = new Error("enough");
    const ending = pull({
      signal: stop.signal,
      onProgress: ({ hereBytes }) => hereBytes > 1_500_000 && stop.abort(reason),
    });
    await expect(ending).rejects.toBe(reason);
    const part = await stat(join(models, ".pulling/sdxl", hub.commitOf(repo), `${weights}.part`));
    expect(part.size).toBeGreaterThan(0);
    await startHub();
    await pull();
    await expectWhole();
    expect(hub.requestsFor(weights)[1]?.range).toBe(`bytes=${part.size}-`);
  });
});

describe("a refusal", () => {
  it.each([
    [
      "gated",
      undefined,
      "HUB_REFUSED",
      /somebody\/sdxl is gated: accept its terms at http.*\/somebody\/sdxl, and set HF_TOKEN/,
    ],
    ["private", undefined, "MODEL_NOT_FOUND", /no repository somebody\/sdxl that anybody may read.*set HF_TOKEN/],
    ["open", "hf_anotherTokenOfNobody99", "HUB_REFUSED", /does not accept HF_TOKEN/],
  ] as const)(
    "of a repository that is %s, with the token %s, names what to do",
    async (access, used, code, message) => {
      hub.put(repo, { files, access });
      await expect(pull({ hub: { endpoint: hub.url, token: used } })).rejects.toMatchObject({ code, message });
      if (access !== "gated") expect(await readdir(models)).toEqual([]);
      expect(hub.requests.length).toBeLessThan(8);
    },
  );

  it.each([
    ["nobody/nothing", "MODEL_NOT_FOUND", /no repository nobody\/nothing/],
    [`${repo}@v9`, "MODEL_NOT_FOUND", /no revision "v9"/],
  ])("of %s names what is not there", async (text, code, message) => {
    await expect(pull({ wanted: wantedModel(text) })).rejects.toMatchObject({ code, message });
  });

  it("of a repository without ONNX files says how to export it", async () => {
    const index = files["model_index.json"] ?? Buffer.of();
    hub.put(repo, { files: { ...otherFiles(), "model_index.json": index } });
    await expect(pull()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: /has its weights, but not as ONNX files: .*model\.onnx.*Export a checkpoint/,
    });
  });

  it("of a model of another kind says which kinds there are", async () => {
    hub.put(repo, { files: { "model_index.json": Buffer.from('{"_class_name": "FluxPipeline"}') } });
    await expect(pull()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: /FluxPipeline.*Stable Diffusion XL and WAN/,
    });
    hub.put(repo, { files: { "config.json": Buffer.from("{}") } });
    await expect(pull()).rejects.toMatchObject({ code: "MODEL_INVALID", message: /no "architectures"/ });
    hub.put(repo, { files: { "model.gguf": Buffer.from("GGUF") } });
    await expect(pull()).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: /has no model_index\.json and no config\.json/,
    });
  });

  it("of a model that would not load keeps it from its name", async () => {
    hub.put(repo, { files: { ...files, "unet/model.onnx_data": Buffer.alloc(1000) } });
    await expect(pull()).rejects.toMatchObject({ code: "MODEL_INVALID", message: /is cut off/ });
    expect(await readdir(models)).toEqual([".pulling"]);
  });

  it("of paths that lead out of the folder fetches nothing", async () => {
    hub.put(repo, { files: { ...files, "unet/../../../model.onnx": Buffer.from("x") } });
    await expect(pull()).rejects.toMatchObject({ code: "HUB_REFUSED", message: /cannot be fetched safely/ });
  });

  it("of another content than was listed fetches none of it", async () => {
    hub.faultOf = ({ host, path }) =>
      host === "hub" && path.includes(weights)
        ? { kind: "status", status: 200, headers: { "x-linked-size": "12" } }
        : undefined;
    await expect(pull()).rejects.toMatchObject({ code: "MODEL_INVALID" });
  });
});

// Mounting a small disk takes root, which CI has.
describe.runIf(process.getuid?.() === 0)("a small disk", () => {
  const mount = (megabytes: number) =>
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", models]);
  afterEach(() => execFileSync("umount", ["-l", models]));

  it("is found too small before anything large is fetched", async () => {
    mount(4);
    await expect(pull()).rejects.toMatchObject({
      code: "DISK_FULL",
      message: /^6\.\d MB are to be fetched into .*, where 4\.\d MB are free/,
    });
    expect(hub.requests.filter(({ host }) => host === "storage")).toEqual([]);
  });

  it("that others fill meanwhile ends the pull, which goes on when there is room again", async () => {
    mount(80);
    await startHub({ bytesPerSecond: 3_000_000 });
    const ballast = join(models, "ballast");
    let isFull = false;
    const onProgress = ({ hereBytes }: PullProgress) => {
      if (isFull || hereBytes < 1_000_000) return;
      isFull = true;
      spawnSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=64k"]);
    };
    await expect(pull({ onProgress })).rejects.toMatchObject({ code: "DISK_FULL", message: /goes on from where/ });
    expect(await readdir(models)).toEqual([".pulling", "ballast"]);
    await rm(ballast);
    await startHub();
    await pull();
    await expectWhole();
    expect(hub.requestsFor(weights)[1]?.range).toMatch(/^bytes=[1-9]/);
  });
});

describe("two at once", () => {
  it("fetch a model once", async () => {
    await startHub({ bytesPerSecond: 4_000_000 });
    const waits: number[] = [];
    // Either of them may be first.
    const onWait = ({ pid }: { readonly pid: number }) => waits.push(pid);
    const both = await Promise.all([pull({ onWait }), pull({ onWait })]);
    expect(both.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(waits[0]).toBe(process.pid);
    await expectWhole();
    expect(hub.requestsFor(weights)).toHaveLength(2);
  });

  it("of different models do not wait for each other", async () => {
    hub.put("other/sdxl", { files: await smallSdxl() });
    const onWait = () => expect.unreachable("it waited");
    await Promise.all([pull({ onWait }), pull({ wanted: wantedModel("other/sdxl", "other"), onWait })]);
    expect(await readdir(models)).toEqual(["other", "sdxl"]);
  });
});
