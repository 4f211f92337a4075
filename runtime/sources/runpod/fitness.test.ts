import { createServer } from "node:http";
import { expect, it, onTestFinished, vi } from "vitest";
import { assertFit, probeRunpod, unfitness } from "./fitness.ts";
import { RunpodServer } from "./testing/runpod-server.ts";

const fitness = { minMemoryGb: 4, minDiskPercent: 10, needsGpu: false };

it("is what has memory and disk enough", () => {
  expect(unfitness(fitness, { memoryGb: 4, freeDiskPercent: 10, gpuProblem: null })).toBeNull();
  expect(unfitness(fitness, { memoryGb: 3.9, freeDiskPercent: 50, gpuProblem: null })).toMatchObject({
    check: "memory",
  });
  expect(unfitness(fitness, { memoryGb: 64, freeDiskPercent: 9.9, gpuProblem: null })).toMatchObject({ check: "disk" });
});

async function settings() {
  const server = await new RunpodServer().listen();
  onTestFinished(() => server.close());
  const pingUrl = `${server.url}/ping/$RUNPOD_POD_ID`;
  return { server, settings: { pingUrl, apiKey: "raw-key", fitness, gpuType: undefined, workerId: "pod-1" } };
}

it("a container that is not fit reports that it is not, and says so", async () => {
  const { server, settings: given } = await settings();
  const measure = async () => ({ memoryGb: 1, freeDiskPercent: 50, gpuProblem: null });
  await expect(assertFit(given, undefined, measure)).rejects.toMatchObject({ code: "NOT_READY" });
  expect(server.heard[0]?.url).toMatch(/^\/v2\/lakes\/ping\/pod-1\?status=unhealthy&check=memory&reason=1\.0\+GB\+/);
  await assertFit({ ...given, fitness: null }, undefined, measure);
  await assertFit(given, undefined, async () => ({ memoryGb: 64, freeDiskPercent: 50, gpuProblem: null }));
  expect(server.heard).toHaveLength(1);
});

it("one that cannot report it says so all the same", async () => {
  const { server, settings: given } = await settings();
  await server.close();
  const measure = async () => ({ memoryGb: 1, freeDiskPercent: 50, gpuProblem: null });
  await expect(assertFit(given, undefined, measure)).rejects.toMatchObject({ code: "NOT_READY" });
});

it("one that should have a GPU and has none is not fit, and says what nvidia-smi names", async () => {
  const measured = { memoryGb: 64, freeDiskPercent: 50 };
  expect(unfitness(fitness, { ...measured, gpuProblem: "no GPU" })).toEqual({ check: "cuda", reason: "no GPU" });
  const { server, settings: given } = await settings();
  vi.stubEnv("PATH", "/nowhere");
  onTestFinished(() => void vi.unstubAllEnvs());
  const needy = { minMemoryGb: 0, minDiskPercent: 0, needsGpu: true };
  await expect(assertFit({ ...given, fitness: needy }, undefined)).rejects.toMatchObject({
    message: expect.stringContaining("(cuda): RUNPOD_GPU_TYPE_ID names a GPU, and nvidia-smi names no GPU"),
  });
  expect(server.heard[0]?.url).toContain("?status=unhealthy&check=cuda&reason=");
  await assertFit({ ...given, fitness: { ...needy, needsGpu: false } }, undefined);
});

it("a probe pings, and takes no job", async () => {
  const { server, settings: given } = await settings();
  expect(await probeRunpod(given)).toBe("RunPod answers a ping");
  const deaf = { warning: expect.stringContaining("RUNPOD_WEBHOOK_PING is not set") };
  expect(await probeRunpod({ ...given, pingUrl: null })).toEqual(deaf);
  await server.close();
  await expect(probeRunpod(given)).rejects.toMatchObject({ code: "QUEUE_UNREACHABLE" });
  expect(server.takes).toEqual([]);
});

it("a probe whose key is refused says so, and not that nobody answers", async () => {
  const refusing = createServer((_request, response) => void response.writeHead(401).end());
  await new Promise<void>((resolve) => refusing.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void refusing.close());
  const { settings: given } = await settings();
  const address = refusing.address();
  const pingUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/ping`;
  await expect(probeRunpod({ ...given, pingUrl })).rejects.toMatchObject({
    code: "QUEUE_UNREACHABLE",
    message: "RunPod refuses a ping with 401. Look at RUNPOD_WEBHOOK_PING and RUNPOD_AI_API_KEY.",
  });
});
