import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { processesNaming } from "#test/support/kill.ts";
import type { EngineSettings } from "./engine-settings.ts";
import { openEngine } from "./open-engine.ts";

const script = fileURLToPath(new URL("../../test/support/wan-command.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ourvidz-engine-"));
afterAll(() => rmSync(folder, { recursive: true }));

const settings = (args: readonly string[] = [], more: Partial<EngineSettings> = {}): EngineSettings => ({
  command: [process.execPath, script, ...args],
  environment: { PATH: process.env.PATH ?? "" },
  task: "t2v-1.3B",
  models: ["wan"],
  ...more,
});

it("reads what the command takes", async () => {
  const engine = await openEngine(settings([], { checkpointsFolder: folder }));
  expect(engine).toMatchObject({ task: "t2v-1.3B", checkpointsFolder: folder });
  expect(engine.options).toMatchObject({ sample_solver: ["unipc", "dpm++"], first_frame: [], save_file: [] });
  expect(engine).not.toHaveProperty("models");
});

describe("a command that cannot be used", () => {
  it.each<[string, EngineSettings, RegExp]>([
    ["is missing", settings([], { command: ["/nowhere/python"] }), /\/nowhere\/python cannot be run \(.*ENOENT/],
    ["breaks", settings(["--unheard"]), /--help ended with code 1: .*/],
    ["lacks what every job needs", settings(["--lacks=prompt,save_file"]), /does not list --prompt, --save_file/],
    ["knows no such task", settings([], { task: "t2v-99B" }), /has no --task t2v-99B, but t2v-1\.3B, t2v-14B/],
    [
      "has no weights",
      settings([], { checkpointsFolder: join(folder, "gone") }),
      /there is no folder .*\/gone with its/,
    ],
    [
      "has no argument for its weights",
      settings(["--lacks=ckpt_dir"], { checkpointsFolder: folder }),
      /does not list --ckpt_dir/,
    ],
  ])("%s", async (_what, engine, problem) => {
    const failure = { code: "ENGINE_UNAVAILABLE", message: expect.stringMatching(problem) };
    await expect(openEngine(engine)).rejects.toMatchObject(failure);
  });

  it("does not answer, and is killed", async () => {
    const name = `--behaviour=no_help`;
    const record = `--record=${join(folder, "late")}`;
    await expect(openEngine(settings([name, record]), 300)).rejects.toThrow(/did not answer --help within 0\.3 s/);
    expect(await processesNaming(record)).toEqual([]);
  });
});
