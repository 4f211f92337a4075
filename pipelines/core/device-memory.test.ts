import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { freeMachineBytes, roomForWeights } from "./device-memory.ts";

const folder = mkdtempSync(join(tmpdir(), "device-memory-"));
afterAll(() => rmSync(folder, { recursive: true }));

const gibibyte = 2 ** 30;

/** A command that prints what `nvidia-smi` would. */
function printing(output: string, exitCode = 0): string {
  const path = join(folder, `smi-${Math.random()}`);
  writeFileSync(path, `#!/bin/sh\necho '${output}'\nexit ${exitCode}\n`);
  chmodSync(path, 0o755);
  return path;
}

it("is three quarters of what is free on the GPU, of several on the fullest", async () => {
  expect(await roomForWeights("cuda", printing("81920"))).toBe(60 * gibibyte);
  expect(await roomForWeights("cuda", printing("81920\n16384"))).toBe(12 * gibibyte);
});

it("is 2 GB where the GPU's memory is not known", async () => {
  const unknown = [printing("[N/A]"), printing("", 9), join(folder, "none")];
  expect(await Promise.all(unknown.map((command) => roomForWeights("cuda", command)))).toEqual(
    unknown.map(() => 2 * gibibyte),
  );
});

it("counts no more as free than the machine has, and no less than what nobody uses", async () => {
  const free = await freeMachineBytes();
  expect(free).toBeGreaterThan(2 ** 26);
  expect(free).toBeLessThanOrEqual(totalmem());
});

it("is less than half of the machine's memory", async () => {
  const room = await roomForWeights("cpu");
  expect(room).toBeGreaterThan(2 ** 26);
  expect(room).toBeLessThan(totalmem() / 2);
});
