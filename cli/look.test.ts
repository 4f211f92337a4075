import { cp, mkdir, rename, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };
import { createProgram } from "./program.ts";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

const tinyModel = fileURLToPath(new URL("../pipelines/sdxl/fixtures/random-sdxl", import.meta.url));

test("--version and --help", async () => {
  const folder = await temporaryFolder();
  expect(await runCli(folder, ["--version"])).toMatchObject({ exitCode: 0, stdout: `${manifest.version}\n` });
  const help = await runCli(folder, ["run", "--help"]);
  expect(help).toMatchObject({ exitCode: 0, stderr: "" });
  expect(help.stdout).toContain('ourvidz run sdxl_image_fast "a red apple"');
});

test("the help of every command has examples that begin with its name", async () => {
  const commands = (await createProgram([])).commands.filter((command) => command.name() !== "help");
  expect(commands).toHaveLength(25);
  for (const command of commands) {
    const help: string[] = [];
    command.configureOutput({ writeOut: (text) => help.push(text) }).outputHelp();
    expect(help.join("")).toContain(`Examples:\n  ourvidz ${command.name()}`);
  }
});

test("help of a command has no option that the command refuses", async () => {
  const folder = await temporaryFolder();
  expect((await runCli(folder, ["start", "--help"])).stdout).not.toMatch(/--url|--key/);
  expect((await runCli(folder, ["jobs", "--help"])).stdout).toMatch(/--url[\s\S]*--key/);
});

test("help shows a command's, and suggests one for what is none", async () => {
  const folder = await temporaryFolder();
  const shown = await runCli(folder, ["help", "jobs"]);
  expect(shown).toMatchObject({ exitCode: 0, stderr: "", stdout: expect.stringContaining("Usage: ourvidz jobs") });
  expect((await runCli(folder, ["help"])).stdout).toContain("show a command's help");
  const unknown = await runCli(folder, ["help", "jbos"]);
  expect(unknown).toMatchObject({
    exitCode: 2,
    stdout: "",
    stderr: expect.stringContaining("Unknown command 'jbos'. Did you mean \"jobs\"?"),
  });
});

test("no command at all shows the help and ends with 2", async () => {
  const { exitCode, stderr } = await runCli(await temporaryFolder(), []);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("Usage: ourvidz [options] [command]");
});

test("handlers lists every job type; a bad file is named and ends with 1", async () => {
  const folder = await temporaryFolder();
  const { stdout } = await runCli(folder, ["handlers", "--json"]);
  expect(JSON.parse(stdout).handlers).toContainEqual({
    type: "break",
    worker: "hammer",
    model: "sledge",
    produces: "nothing",
    max_attempts: 2,
    timeout_seconds: 60,
    description: null,
  });
  await mkdir(join(folder, "handlers"));
  await writeFile(join(folder, "handlers/half.ts"), "export default { type: 'half' };");
  const bad = await runCli(folder, ["handlers", "--handlers", "handlers"]);
  expect(bad.exitCode).toBe(1);
  expect(bad.stderr).toContain(join(folder, "handlers/half.ts"));

  // Beside it, the good ones are listed all the same.
  const zod = JSON.stringify(fileURLToPath(import.meta.resolve("zod")));
  await writeFile(
    join(folder, "handlers/whole.ts"),
    `import { z } from ${zod};
     export default { type: "whole", worker: "test", produces: "nothing", input: z.any(), retry: { maxAttempts: 1, timeoutSeconds: 5 }, run: async () => ({}) };`,
  );
  const mixed = await runCli(folder, ["handlers", "--handlers", "handlers"]);
  expect(mixed).toMatchObject({ exitCode: 1, stdout: expect.stringContaining("whole\ttest") });
  expect(mixed.stderr).toContain(join(folder, "handlers/half.ts"));
  const json = JSON.parse((await runCli(folder, ["handlers", "--handlers", "handlers", "--json"])).stdout);
  expect(json).toMatchObject({ handlers: [{ type: "whole" }], problems: [{ type: "half" }] });
});

test("models and validate see a damaged file, a missing one and a missing model", async () => {
  const folder = await temporaryFolder();
  const models = join(folder, "models");
  await cp(tinyModel, join(models, "sledge"), { recursive: true });
  await cp(tinyModel, join(models, "broken"), { recursive: true });
  await truncate(join(models, "broken/unet/model.onnx"), 1000);
  await truncate(join(models, "broken/vae_decoder/model.onnx"), 0);
  await writeFile(join(models, "aliases.json"), '{"big": "sledge"}');

  const inspected = await runCli(folder, ["models", "--models", "models", "--json"]);
  expect(inspected.exitCode).toBe(1);
  const listed = JSON.parse(inspected.stdout);
  expect(listed).toMatchObject({ folder: models, missing: [] });
  expect(listed.models).toEqual([
    expect.objectContaining({
      name: "broken",
      needed_by: [],
      problems: [
        `${join(models, "broken/unet/model.onnx")} is cut off: download it again`,
        `${join(models, "broken/vae_decoder/model.onnx")} is empty`,
      ],
    }),
    expect.objectContaining({ name: "sledge", aliases: ["big"], needed_by: ["break"], problems: [] }),
  ]);

  await rename(join(models, "broken"), join(folder, "broken"));
  expect(await runCli(folder, ["models", "--models", "models"])).toMatchObject({ exitCode: 0 });
  // An alias whose folder is missing is needed all the same.
  await rename(join(models, "sledge"), join(models, "other"));
  await writeFile(join(models, "aliases.json"), '{"sledge": "heavy"}');
  const missing = await runCli(folder, ["models", "--models", "models", "--json"]);
  expect(missing.exitCode).toBe(1);
  expect(JSON.parse(missing.stdout).models).toContainEqual(
    expect.objectContaining({ name: "heavy", aliases: ["sledge"], needed_by: ["break"] }),
  );
  await rename(join(models, "other"), join(models, "sledge"));
  await rename(join(folder, "broken"), join(models, "broken"));
  await writeFile(join(models, "aliases.json"), '{"big": "sledge"}');

  const valid = await runCli(folder, ["validate", "--models", "models", "--json"]);
  const { status, checks } = JSON.parse(valid.stdout);
  const statuses = Object.fromEntries(
    checks.map((check: { name: string; status: string }) => [check.name, check.status]),
  );
  expect({ status, exitCode: valid.exitCode }).toEqual({ status: "valid", exitCode: 0 });
  expect(statuses).toMatchObject({
    node: "ok",
    environment: "ok",
    "data folder": "ok",
    handlers: "ok",
    "executor hammer": "ok",
    "model sledge": "ok",
    "model broken": "warning",
  });

  const invalid = await runCli(folder, ["validate", "--models", "nowhere"]);
  expect(invalid.exitCode).toBe(1);
  expect(invalid.stdout).toMatch(/^failed\tmodels folder\tThe models folder .* cannot be read/m);
  expect(invalid.stdout).toMatch(/^failed\tmodel sledge\tThe model "sledge" is missing: .* Needed by: break\.$/m);
});

test("validate warns of a missing model while another is there, unless its worker was chosen", async () => {
  const folder = await temporaryFolder();
  const models = join(folder, "models");
  await mkdir(models);
  await symlink(tinyModel, join(models, "sdxl"));
  const handlers = fileURLToPath(new URL("../handlers", import.meta.url));
  const env = { HANDLERS_DIR: handlers, MODELS_DIR: models };
  const all = await runCli(folder, ["validate"], env);
  expect(all.exitCode).toBe(0);
  expect(all.stdout).toMatch(/^warning\tmodel wan\tThe model "wan" is missing: .* Needed by: .*video_fast/m);
  const chosen = await runCli(folder, ["validate"], { ...env, WORKERS: "wan" });
  expect(chosen.exitCode).toBe(1);
  expect(chosen.stdout).toMatch(/^failed\tmodel wan\tThe model "wan" is missing: /m);
});
