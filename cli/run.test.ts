import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { platform } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { runCli, startCli, temporaryFolder, withSledge } from "./testing/run-cli.ts";

/** What is left in the folder but for what the test expects there: no temporary data folder may stay. */
async function leftovers(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name !== "out");
}

describe("a job that completes", () => {
  test("leaves its files in --out and prints their names", async () => {
    const folder = await temporaryFolder();
    const result = await runCli(folder, [
      "run",
      "draw",
      "A lighthouse,",
      "at dawn!",
      "--seed",
      "0",
      "--config",
      '{"novelty":1}',
    ]);
    expect(result).toMatchObject({ exitCode: 0, stdout: "out/a-lighthouse-at-dawn-0.png\n" });
    expect(result.stderr).toContain("step 4 of 4\n");
    expect(result.stderr).toContain("\nignored, as nothing reads it: config.novelty\n");
    expect(result.stderr).toMatch(/completed in \d+\.\d s: 1 file, seed 0\nmix colors 1\.5 s, draw 61\.3 s\n$/);
    expect(await readFile(join(folder, "out/a-lighthouse-at-dawn-0.png"), "utf8")).toBe("picture 0");
    expect(await leftovers(folder)).toEqual([]);
  });

  test("shows a scale of 100 in percent", async () => {
    const args = ["run", "draw", "a fox", "--config", '{"num_inference_steps": 100}'];
    const { stderr } = await runCli(await temporaryFolder(), args);
    expect(stderr).toMatch(/^the job has started\n1 %\n.*\n100 %\ncompleted/s);
  });

  test("is one JSON document with --json, of exactly this form", async () => {
    const folder = await temporaryFolder();
    const args = [
      "run",
      "draw",
      "a red fox",
      "--images",
      "3",
      "--seed",
      "5",
      "--size",
      "128x64",
      "--out",
      "o",
      "--json",
    ];
    const { exitCode, stdout } = await runCli(folder, args);
    const asset = (seed: number) => ({
      file: join(folder, `o/a-red-fox-${seed}.png`),
      thumbnail: join(folder, `o/a-red-fox-${seed}.thumb.webp`),
      width: 128,
      height: 64,
      seed,
    });
    expect(JSON.parse(stdout)).toStrictEqual({
      job_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      status: "completed",
      assets: [asset(5), asset(6), asset(7)],
      metadata: expect.objectContaining({ seed: 5, job_type: "draw" }),
      error: null,
      ignored: [],
    });
    expect(exitCode).toBe(0);
  });

  test("prints its metadata when it made no file", async () => {
    const { exitCode, stdout, stderr } = await runCli(await temporaryFolder(), ["run", "say", "hello"]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ text: "hello" });
    expect(stderr).toContain("printed by the handler\n");
  });

  test("prints the text that it made, and has it in JSON", async () => {
    const folder = await temporaryFolder();
    const plain = await runCli(folder, ["run", "say", "aloud: a red apple"]);
    expect(plain).toMatchObject({ exitCode: 0, stdout: "aloud: a red apple\n" });
    expect(plain.stderr).toMatch(/completed in [\d.]+ s\n/);
    const { stdout } = await runCli(folder, ["run", "say", "aloud", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ status: "completed", text: "aloud", assets: [] });
  });

  test("overwrites nothing, also when two save at the same moment", async () => {
    const folder = await temporaryFolder();
    const results = await Promise.all([1, 2].map(() => runCli(folder, ["run", "draw", "a fox", "--seed", "1"])));
    expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect((await readdir(join(folder, "out"))).sort()).toEqual([
      "a-fox-1-2.png",
      "a-fox-1-2.thumb.webp",
      "a-fox-1.png",
      "a-fox-1.thumb.webp",
    ]);
  });

  test("does not mind a reader that goes away", async () => {
    const command = startCli(await temporaryFolder(), ["run", "draw", "a fox"]);
    command.child.stdout?.destroy();
    command.child.stderr?.destroy();
    expect(await command.ended).toMatchObject({ exitCode: 0, signal: null });
  });
});

describe("a job that fails", () => {
  const cases = [
    ["permanent", "HANDLER_FAILED", "The wall is too hard: use a softer one."],
    ["slip", "HANDLER_FAILED", "The hammer slipped."],
    ["exit", "EXECUTOR_CRASHED", "The executor process died while it ran the job: exit code 3."],
    ["model", "MODEL_NOT_FOUND", 'The model "sledge" is missing'],
  ] as const;

  test.each(cases)("%s: exit code 1, and the reason", async (prompt, code, message) => {
    const folder = await temporaryFolder();
    const env = prompt === "model" ? {} : await withSledge();
    const { exitCode, stdout } = await runCli(folder, ["run", "break", prompt, "--json"], env);
    expect(JSON.parse(stdout)).toStrictEqual({
      job_id: expect.any(String),
      status: "failed",
      assets: [],
      metadata: {},
      error: { code, message: expect.stringContaining(message) },
      ignored: [],
    });
    expect(exitCode).toBe(1);
    expect(await leftovers(folder)).toEqual([]);
  });

  test("says so before it tries again", async () => {
    const { stdout, stderr } = await runCli(await temporaryFolder(), ["run", "break", "slip"], await withSledge());
    expect(stdout).toBe("");
    expect(stderr).toContain("attempt 1 failed: The hammer slipped. Trying again in 1 s.\n");
    expect(stderr.trimEnd().endsWith("error: The hammer slipped.")).toBe(true);
  });
});

test("an executor that cannot start is reported, not waited for", async () => {
  const folder = await temporaryFolder();
  await runCli(folder, ["new-handler", "say_it", "--handlers", "mine"]);
  // Loads in the command's own process, which has nobody to send to, and not in the executor.
  const broken = 'if (process.send !== undefined) throw new Error("the driver is missing");\n';
  await appendFile(join(folder, "mine/say_it.ts"), broken);
  const { exitCode, stdout } = await runCli(folder, ["run", "say_it", "hello", "--handlers", "mine", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({
    status: "failed",
    error: { code: "HANDLER_INVALID", message: expect.stringContaining("the driver is missing") },
  });
  expect(exitCode).toBe(1);
});

describe("bad input ends with 2 and one sentence, before anything starts", () => {
  const cases: readonly (readonly [args: string[], code: string, message: string])[] = [
    [["drew", "x"], "UNKNOWN_JOB_TYPE", 'Job type "drew" is unknown: must be "break", "draw"'],
    [["drew", "x"], "UNKNOWN_JOB_TYPE", 'Did you mean "draw"?'],
    [["draw"], "INVALID_JOB", 'prompt is missing: give it after the job type, for example draw "a red apple".'],
    [["draw", " "], "INVALID_JOB", 'prompt is " ": must be 1 to 8,000 characters and not only white space'],
    [["draw", "x", "--images", "2"], "INVALID_JOB", "--images is 2: must be 1, 3 or 6."],
    [["draw", "x", "--size", "1023x1024"], "INVALID_JOB", "--size (width) is 1023: must be a multiple of 8"],
    [["draw", "x", "--size", "big"], "INVALID_REQUEST", "It must be WIDTHxHEIGHT"],
    [
      ["draw", "x", "--seed", "-1"],
      "INVALID_JOB",
      "--seed is -1: must be a whole number from 0 to 2^53 (leave it out for a random one)",
    ],
    [["draw", "x", "--seed", "9007199254740993"], "INVALID_REQUEST", "too large to be kept exactly"],
    [["draw", "x", "--seed", "0x10"], "INVALID_REQUEST", "It must be a number."],
    [["draw", "x", "--config", "{"], "INVALID_REQUEST", "It must be JSON"],
    [["draw", "x", "--config", "[1]"], "INVALID_REQUEST", "It must be a JSON object"],
    [["draw", "x", "--config", '{"num_images":4}'], "INVALID_JOB", "config.num_images is 4: must be 1, 3 or 6."],
    [["draw", "x", "--model", "../x"], "INVALID_JOB", '--model is "../x": must be the name of a model folder.'],
    [["draw", "x", "--stepps", "3"], "INVALID_REQUEST", "Unknown option '--stepps'. Did you mean --steps?"],
    [[], "INVALID_REQUEST", "Missing required argument 'type'."],
  ];

  test.concurrent.each(cases)("%j", async (args, code, message) => {
    const folder = await temporaryFolder();
    const { exitCode, stdout } = await runCli(folder, ["run", ...args, "--json"]);
    expect(JSON.parse(stdout)).toStrictEqual({ error: { code, message: expect.stringContaining(message) } });
    expect(exitCode).toBe(2);
    expect(await leftovers(folder)).toEqual([]);
  });

  test("as text on standard error without --json", async () => {
    const { stdout, stderr } = await runCli(await temporaryFolder(), ["run", "draw", "x", "--images", "2"]);
    expect(stdout).toBe("");
    expect(stderr).toBe("error: The job is invalid: --images is 2: must be 1, 3 or 6.\n");
  });
});

describe("a machine that is not fit ends with 1 and one sentence", () => {
  test("--out is a file", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "");
    const { exitCode, stdout, stderr } = await runCli(folder, ["run", "draw", "x", "--out", "file"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toBe(
      `error: --out: nothing can be written to ${join(folder, "file")} (ENOTDIR): make it writable or name another folder.\n`,
    );
  });

  test.runIf(platform() === "linux").each([
    ["--out", "--out: nothing can be written to /proc/out"],
    ["--data", "No temporary folder can be made in /proc/out"],
  ])("%s cannot be made", async (option, message) => {
    const result = await runCli(await temporaryFolder(), ["run", "draw", "x", option, "/proc/out"]);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain(message);
  });
});

describe("Ctrl-C", () => {
  const endless = ["run", "draw", "x", "--steps", "150", "--config", '{"step_ms":200}'];

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s cancels the job within a step: exit code %i", async (signal, code) => {
    const folder = await temporaryFolder();
    const command = startCli(folder, [...endless, "--json"]);
    await command.seen("step 1 of 150");
    command.child.kill(signal);
    const { exitCode, stdout, stderr } = await command.ended;
    expect(exitCode).toBe(code);
    expect(JSON.parse(stdout)).toMatchObject({ status: "cancelled", assets: [], error: null });
    expect(stderr).toMatch(/cancelled at step \d+ of 150; nothing was kept\n$/);
    expect(await leftovers(folder)).toEqual([]);
  });

  test("before the first step cancels it as well", async () => {
    const folder = await temporaryFolder();
    const command = startCli(folder, [...endless, "--verbose"]);
    await command.seen("the container is up");
    command.child.kill("SIGINT");
    const { exitCode, stderr } = await command.ended;
    expect(exitCode).toBe(130);
    expect(stderr).toContain("nothing was kept");
    expect(await leftovers(folder)).toEqual([]);
  });

  test("that npm repeats at once is one Ctrl-C; a second one ends the process at once", async () => {
    const folder = await temporaryFolder();
    const command = startCli(folder, ["run", "stubborn"]);
    await command.seen("step 1 of 2");
    command.child.kill("SIGINT");
    await pause(50);
    command.child.kill("SIGINT");
    await pause(600);
    expect(command.child.exitCode).toBeNull();
    command.child.kill("SIGINT");
    expect((await command.ended).exitCode).toBe(130);
    expect(await leftovers(folder)).toEqual([]);
  });
});
