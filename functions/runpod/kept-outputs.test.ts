import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { KeptOutputs } from "./kept-outputs.ts";

async function open(maxBytes = 1000) {
  const home = await mkdtemp(join(tmpdir(), "ourvidz-outputs-"));
  const folder = join(home, "outputs");
  const log = await createLogger({ level: "silent", format: "json" });
  const outputs = new KeptOutputs({ folder, log, keptMs: 60_000, maxBytes });
  onTestFinished(async () => {
    outputs.close();
    await rm(home, { recursive: true, force: true });
  });
  return { home, folder, outputs };
}

it("reads what it keeps, and nothing else", async () => {
  const { outputs, home } = await open();
  await writeFile(join(home, "secret"), '"key"');
  const name = await outputs.keep('{"lake":"calm"}');
  expect(await outputs.read(name)).toEqual({ lake: "calm" });
  for (const wrong of ["../secret", "", null, 7, crypto.randomUUID()])
    expect(await outputs.read(wrong)).toBeUndefined();
});

it("knows nothing of a file that is not whole", async () => {
  const { outputs, folder } = await open();
  const name = await outputs.keep('{"lake":"calm"}');
  for (const left of ["", '{"lake"']) {
    await writeFile(join(folder, String(name)), left);
    expect(await outputs.read(name)).toBeUndefined();
  }
});

it("removes what is too old, and the oldest of what is too much", async () => {
  const { outputs, folder } = await open();
  const names = [];
  for (let age = 4; age >= 1; age--) {
    const name = (await outputs.keep(JSON.stringify("m".repeat(400)))) ?? "";
    names.push(name);
    const at = Date.now() / 1000 - (age === 4 ? 61 : age);
    await utimes(join(folder, name), at, at);
  }
  await outputs.prune();
  expect((await readdir(folder)).toSorted()).toEqual(names.slice(2).toSorted());
});

it("says null where there is no room for it", async () => {
  const { outputs, folder } = await open();
  await writeFile(folder, "no folder");
  expect(await outputs.keep("1")).toBeNull();
});
