import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { type DoorFault, type SupabaseDoor, startSupabaseDoor } from "#test/support/supabase/door.ts";
import { startPostgres, type TestPostgres } from "#test/support/supabase/postgres.ts";
import { readPresetFiles, shippedPresets } from "./preset-files.ts";
import { PresetTable } from "./preset-rows.ts";
import { Presets } from "./presets.ts";

const own = {
  name: "own",
  description: "Our own.",
  system_prompt: "Write a prompt.",
  targets: { sdxl: {} },
};

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-presets-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const put = (name: string, content: unknown) =>
  writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));

async function load(table: ConstructorParameters<typeof PresetTable>[0] | null = null, folderGiven?: string) {
  const log = await createLogger({ level: "silent", format: "json" });
  return await Presets.load({ folder: folderGiven, log, table: table === null ? null : new PresetTable(table) });
}

function systemOf(presets: Presets, name: string, target: string): string | undefined {
  return presets.all.find((preset) => preset.name === name && preset.target === target)?.system;
}

it("adds the operator's files to those that are shipped, and puts them before one of the same name", async () => {
  await put("own.json", own);
  await put("nature.json", { ...own, name: "nature" });
  await put("notes.txt", "no preset");
  const presets = await load(null, folder);
  const names = presets.all.map(({ target, name }) => `${target} ${name}`);
  expect(names.filter((name) => name.startsWith("sdxl")).toSorted()).toEqual(
    ["cinematic", "illustration", "nature", "own", "photographic", "product"].map((name) => `sdxl ${name}`),
  );
  expect(systemOf(presets, "nature", "sdxl")).toBe("Write a prompt.");
  expect(systemOf(presets, "nature", "wan")).toContain("Place it outdoors");
});

it("names every file that is wrong, and what is", async () => {
  await put("broken.json", "{");
  await put("other.json", own);
  await put("own.json", { ...own, targets: { sdxl: { token_limit: 0 } } });
  await expect(load(null, folder)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: `Presets of prompt enhancement are wrong:
  ${join(folder, "broken.json")} is no JSON
  ${join(folder, "other.json")}: name is "own": must be "other" as the file's
  ${join(folder, "own.json")}: targets.sdxl.token_limit is 0: must be a whole number from 1 to 4,096`,
  });
});

it("says that the folder is not there", async () => {
  await expect(load(null, join(folder, "none"))).rejects.toThrow(
    `the folder ${join(folder, "none")} cannot be read (ENOENT): make it, or leave PRESETS_DIR out`,
  );
});

describe("with a project", () => {
  let postgres: TestPostgres;
  let door: SupabaseDoor;
  let fault: DoorFault | undefined;

  beforeAll(async () => {
    postgres = await startPostgres();
    door = await startSupabaseDoor({ database: postgres.api, fault: () => fault });
  });

  afterAll(async () => {
    await door.close();
    await postgres.stop();
  });

  const project = () => ({ url: door.url, serviceKey: door.serviceKey });

  it("the table's rows are the shipped files, until an operator changes them", async () => {
    const files = await readPresetFiles(shippedPresets);
    const { presets, problems } = await new PresetTable(project()).read();
    expect(problems).toEqual([]);
    const shown = ({ name, target, system, examples, tokenLimit }: (typeof files)[number]) =>
      JSON.stringify({ name, target, system, examples, tokenLimit });
    expect(presets.map(shown).toSorted()).toEqual(files.map(shown).toSorted());
  });

  it("rows go before files, wrong ones are left out, and those that were read stay while the project is away", async () => {
    const presets = await load(project(), undefined);
    await postgres.database.query(`
      insert into ourvidz.enhancement_presets (preset, title, target_model, system_prompt, max_tokens, settings) values
        ('sdxl-nature-2', 'Nature 2', 'sdxl', 'Second.', 100, '{}'),
        ('wrong', 'Wrong', 'sdxl', 'Wrong.', 100, '{"temperature": 9}');
      update ourvidz.enhancement_presets set system_prompt = 'Mine.' where preset = 'sdxl-nature'`);
    await presets.reread();
    expect(systemOf(presets, "nature", "sdxl")).toBe("Mine.");
    expect(systemOf(presets, "nature-2", "sdxl")).toBe("Second.");
    expect(systemOf(presets, "wrong", "sdxl")).toBeUndefined();
    fault = { status: 500, body: { message: "down" } };
    await presets.reread();
    expect(systemOf(presets, "nature", "sdxl")).toBe("Mine.");
    await expect(new PresetTable(project()).read()).rejects.toMatchObject({ code: "DATABASE_UNREACHABLE" });
    fault = undefined;
    expect((await new PresetTable(project()).read()).problems).toEqual([
      'The row "wrong" of ourvidz_enhancement_presets is left out: settings.temperature is 9: must be a number from 0 to 2',
    ]);
  });
});
