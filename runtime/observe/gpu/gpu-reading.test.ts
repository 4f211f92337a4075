import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { GpuReading, type GpuReadingOptions } from "./gpu-reading.ts";
import { parseGpus } from "./parse-gpus.ts";

const gibibyte = 2 ** 30;
/** Lines in the form of the real command, without units. */
const a100 = "81920, 75899, 6021, 99, 82, NVIDIA A100-SXM4-80GB\n";
const slice = "[N/A], [N/A], [N/A], [N/A], 31, NVIDIA H200\n";

let folder: string;
let nowMs: number;

/** A program of the real one's name, first on the PATH, that notes each of its calls. */
async function install(script: string, options: GpuReadingOptions = {}): Promise<GpuReading> {
  const path = join(folder, "nvidia-smi");
  await writeFile(path, `#!/bin/sh\necho "$@" >> ${join(folder, "calls")}\n${script}\n`);
  await chmod(path, 0o755);
  vi.stubEnv("PATH", `${folder}${delimiter}${process.env.PATH}`);
  return new GpuReading({ waitMs: 20_000, limitMs: 20_000, monotonicMs: () => nowMs, ...options });
}

async function calls(): Promise<string[]> {
  const text = await readFile(join(folder, "calls"), "utf8").catch(() => "");
  return text.split("\n").slice(0, -1);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

beforeEach(async () => {
  nowMs = 0;
  folder = await mkdtemp(join(tmpdir(), "ourvidz-gpu-"));
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true, force: true });
  });
});

it("reads what the command prints, and asks it no more often than once in three seconds", async () => {
  const reading = await install(`printf '${a100}'`);
  const gpus = [
    {
      name: "NVIDIA A100-SXM4-80GB",
      memoryTotalBytes: 80 * gibibyte,
      memoryUsedBytes: 75899 * 2 ** 20,
      memoryFreeBytes: 6021 * 2 ** 20,
      utilizationPercent: 99,
      temperatureCelsius: 82,
    },
  ];
  expect(await Promise.all([reading.read(), reading.read(), reading.read()])).toEqual([gpus, gpus, gpus]);
  nowMs = 2999;
  expect(await reading.read()).toEqual(gpus);
  expect(await calls()).toEqual([
    "--query-gpu=memory.total,memory.used,memory.free,utilization.gpu,temperature.gpu,name --format=csv,noheader,nounits",
  ]);
  nowMs = 3000;
  expect(await reading.read()).toEqual(gpus);
  expect(await calls()).toHaveLength(2);
});

it("does not wait for a command that hangs, ends it, and starts no second one beside it", async () => {
  const reading = await install(`echo $$ > ${join(folder, "pid")}; exec sleep 600`, {
    waitMs: 200,
    limitMs: 2000,
    monotonicMs: () => performance.now(),
  });
  expect(await Promise.all([reading.read(), reading.read()])).toEqual([null, null]);
  const readPid = async () => Number(await readFile(join(folder, "pid"), "utf8").catch(() => "0"));
  await expect.poll(readPid, { timeout: 20_000 }).toBeGreaterThan(0);
  const pid = await readPid();
  await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false);
  // What was ended counts as a failure, which holds for a while.
  expect(await reading.read()).toBeNull();
  expect(await calls()).toHaveLength(1);
});

it.each([
  ["fails", "printf '81920, 1, 1, 1, 1, a card\\n'; exit 9"],
  [
    "says that it has no driver",
    "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'",
  ],
  ["prints nothing", "exit 0"],
  ["prints bytes", "head -c 5000 /dev/urandom"],
  ["prints without end", "yes '81920, 1, 1, 1, 1, a card'"],
])("knows no GPU when the command %s", async (_name, script) => {
  const reading = await install(script);
  expect(await reading.read()).toBeNull();
  nowMs = 29_999;
  expect(await reading.read()).toBeNull();
  expect(await calls()).toHaveLength(1);
});

it("knows no GPU where there is no such command", async () => {
  expect(await new GpuReading({ command: join(folder, "nvidia-smi") }).read()).toBeNull();
});

it("tries again after a failure", async () => {
  const reading = await install("exit 9");
  expect(await reading.read()).toBeNull();
  nowMs = 30_000;
  await install(`printf '${a100}'`);
  expect(await reading.read()).toHaveLength(1);
});

describe("the output", () => {
  it("may be of several GPUs, with line ends of another system", () => {
    expect(parseGpus(`${a100.trim()}\r\n24564, 0, 24080, 0, 35, NVIDIA GeForce RTX 4090\r\n`)).toMatchObject([
      { name: "NVIDIA A100-SXM4-80GB" },
      { name: "NVIDIA GeForce RTX 4090", memoryUsedBytes: 0, utilizationPercent: 0 },
    ]);
  });

  it("may lack what a slice of a GPU does not have", () => {
    expect(parseGpus(slice)).toEqual([
      {
        name: "NVIDIA H200",
        memoryTotalBytes: null,
        memoryUsedBytes: null,
        memoryFreeBytes: null,
        utilizationPercent: null,
        temperatureCelsius: 31,
      },
    ]);
  });

  it.each([
    "",
    "81920, 1, 1, 1, 1",
    "81920 MiB, 1, 1, 1, 1, a card",
    "-5, 1, 1, 1, 1, a card",
    "1e9, 1, 1, 1, 1, a card",
  ])("%j is of no GPU", (line) => expect(parseGpus(line)).toEqual([]));
});
