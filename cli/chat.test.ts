import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startContainer, type TestContainer, testKey } from "#functions/testing/container.ts";
import { makeEndless } from "#test/support/endless-model.ts";
import { runCli, startCli, startCliOnTerminal, startCliReading, temporaryFolder } from "./testing/run-cli.ts";

/* The language model on the command line: in this process, and in a container elsewhere. */

vi.setConfig({ testTimeout: 90_000, hookTimeout: 120_000 });

const root = fileURLToPath(new URL("..", import.meta.url));
const models = mkdtempSync(join(tmpdir(), "ourvidz-cli-chat-"));
let container: TestContainer;
let folder: string;
let here: Record<string, string>;
let elsewhere: Record<string, string>;

beforeAll(async () => {
  cpSync(join(root, "pipelines/chat/fixtures/tiny-qwen2"), join(models, "chat"), { recursive: true });
  makeEndless(join(models, "endless"));
  mkdirSync(join(models, "presets"));
  const brief = { name: "brief", description: "Brief.", system_prompt: "Write a prompt.", targets: { sdxl: {} } };
  writeFileSync(join(models, "presets/brief.json"), JSON.stringify(brief));
  const settings = { HANDLERS_DIR: join(root, "handlers"), MODELS_DIR: models, PRESETS_DIR: join(models, "presets") };
  container = await startContainer({ ...settings, WORKERS: "chat", WAN_WORKER_API_KEY: testKey });
  const { url } = await container.listen();
  folder = await temporaryFolder();
  here = settings;
  elsewhere = { OURVIDZ_URL: url, OURVIDZ_KEY: testKey, DATA_DIR: "" };
});

afterAll(async () => {
  await container.stop();
  rmSync(models, { recursive: true });
});

const greedy = ["--temperature", "0", "--max-tokens", "6"];

describe("one question", () => {
  test("is answered here and by a container in the same words, as text and as JSON", async () => {
    const own = await runCli(folder, ["chat", "What", "can", "you", "draw?", ...greedy], here);
    expect(own).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/\S+\n$/) });
    expect(own.stderr).toContain("(cut: it is as long as --max-tokens");
    const asked = ["chat", "What can you draw?", ...greedy];
    expect((await runCli(folder, asked, elsewhere)).stdout).toBe(own.stdout);
    const { exitCode, stdout } = await runCli(folder, [...asked, "--json"], elsewhere);
    const answer = JSON.parse(stdout);
    expect([exitCode, answer]).toMatchObject([0, { success: true, tokens_generated: 6, finish_reason: "length" }]);
    expect(`${answer.response.trim()}`).toBe(own.stdout.trim());
  });

  test("may be piped in, with a system message before it", async () => {
    const piped = startCliReading(folder, ["chat", "--system", "Be brief.", ...greedy, "--json"], "Hello\n", elsewhere);
    const { exitCode, stdout } = await piped.ended;
    const alone = JSON.parse((await runCli(folder, ["chat", "Hello", ...greedy, "--json"], elsewhere)).stdout);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).prompt_tokens).toBeGreaterThan(alone.prompt_tokens);
  });

  test("whose answer is stopped by Ctrl-C has exit code 130, and the model is free", async () => {
    const asked = startCli(folder, ["chat", "Hello", "--model", "endless", "--max-tokens", "2000"], elsewhere);
    await asked.seen(/\S/);
    asked.child.kill("SIGINT");
    expect(await asked.ended).toMatchObject({ exitCode: 130, stderr: "(stopped)\n" });
    await expect.poll(() => container.runtime.calls.active).toBe(0);
  });

  test.each([
    [["chat", ""], 2, "There is nothing to answer"],
    [["chat"], 2, "Standard input is empty"],
    [["chat", "a", "--temperature", "3"], 2, "temperature is 3: must be a number from 0 to 2"],
    [["chat", "a", "--model", "none"], 1, "none"],
    [["chat", "a", "--user", "ada"], 2, "--session"],
    [["chat", "a", "--session", "s", "--data", "here"], 2, "--session is a conversation that a container remembers"],
    [["enhance", "a", "--target", "clay"], 2, "must be sdxl or wan"],
    [["enhance", "a", "--preset", "fog"], 2, 'config.preset is "fog": must be one of'],
  ])("%j is refused", async (args, exitCode, message) => {
    const result = await runCli(folder, args, elsewhere);
    expect(result).toMatchObject({ exitCode, stdout: "", stderr: expect.stringContaining(message) });
  });
});

test("a conversation on a terminal goes on after an answer that Ctrl-C has stopped, and a second one ends it", async () => {
  const talk = startCliOnTerminal(folder, ["chat", "--model", "endless", "--max-tokens", "2000"], elsewhere);
  const type = (text: string) => talk.child.stdin?.write(text);
  await talk.seen("> ");
  type("Hello\r");
  await expect.poll(() => container.runtime.calls.active).toBe(1);
  type("\x03");
  await talk.seen("(stopped)");
  await expect.poll(() => container.runtime.calls.active).toBe(0);
  await talk.seen(/\(stopped\)[\s\S]*> /);
  type("\x03");
  expect((await talk.ended).exitCode).toBe(130);
});

test("a conversation on a terminal sends what was said before, and ends at Ctrl-D", async () => {
  const talk = startCliOnTerminal(folder, ["chat", ...greedy], elsewhere);
  const type = (text: string) => talk.child.stdin?.write(text);
  await talk.seen("> ");
  type("Hello\r");
  await talk.seen(/\(cut: [\s\S]*> /);
  type("Again\r");
  await talk.seen(/\(cut: [\s\S]*\(cut: [\s\S]*> /);
  type("\x04");
  expect((await talk.ended).exitCode).toBe(0);
});

describe("enhance", () => {
  const asked = ["enhance", "a", "fox", "--preset", "brief", "--temperature", "0", "--max-tokens", "8"];

  test("prints the prompt alone, and beside it what it was and how it was made", async () => {
    const own = await runCli(folder, asked, here);
    expect(own).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^\S.*\n$/) });
    expect(own.stderr).toMatch(/^a fox →\nby instruct, brief, chat, [\d.]+ s\n$/);
    const { exitCode, stdout } = await runCli(folder, [...asked, "--json"], elsewhere);
    expect([exitCode, `${JSON.parse(stdout).enhanced_prompt}\n`]).toEqual([0, own.stdout]);
  });

  test("reads a prompt that is piped in, with the word - or without one", async () => {
    const none = ["enhance", "--model", "none"];
    for (const words of [none, [...none, "-"]]) {
      const piped = await startCliReading(folder, words, "a fox\n", elsewhere).ended;
      expect(piped).toMatchObject({ exitCode: 0, stdout: "a fox\n" });
    }
    const nothing = await startCliReading(folder, none, "", elsewhere).ended;
    expect(nothing).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("Standard input is empty") });
    const onTerminal = startCliOnTerminal(folder, none, elsewhere);
    await onTerminal.seen("There is no prompt: give it as text, or pipe it in.");
    expect((await onTerminal.ended).exitCode).toBe(2);
  });

  test("gives the prompt back when nothing comes of it, and says why", async () => {
    const result = await runCli(folder, ["enhance", "a fox", "--model", "none"], elsewhere);
    expect(result).toMatchObject({ exitCode: 0, stdout: "a fox\n" });
    expect(result.stderr).toMatch(/^a fox →\nthe prompt stays as it is\nbecause: enhance_instruct: .*none/);
  });
});
