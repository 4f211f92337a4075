import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startContainer, testKey } from "#functions/testing/container.ts";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

/* The handlers and models that ship. */
const env = {
  HANDLERS_DIR: fileURLToPath(new URL("../handlers", import.meta.url)),
  MODELS_DIR: fileURLToPath(new URL("../models", import.meta.url)),
};
const tokens = async (...args: string[]) => runCli(await temporaryFolder(), ["tokens", ...args], env);

test("counts the tokens of each prompt, and shows what has a weight", async () => {
  const { exitCode, stdout } = await tokens(
    "sdxl_image_fast",
    "a red apple on a",
    "(light blue:1.2)",
    "--negative",
    "a rocket",
  );
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^model: tiny-sdxl\nprompt: 7 tokens in 1 chunk\n {2}text_encoder: 7 tokens/);
  expect(stdout).toContain("weight 1.2: light blue");
  expect(stdout).toMatch(/negative prompt: 2 tokens in 1 chunk/);
});

test("says what a model does not read", async () => {
  const { stdout } = await tokens("video_fast", "a rocket ".repeat(400));
  expect(stdout).toContain("prompt: 800 tokens, 511 are read");
  expect(stdout).toContain("not read: the last 289");
});

test.each([
  [["sdxl_image_fats", "a lake"], 2, "UNKNOWN_JOB_TYPE"],
  [["sdxl_image_fast", "a lake", "--model", "none"], 1, "MODEL_NOT_FOUND"],
])("refuses %j", async (args, exitCode, code) => {
  const result = await tokens(...args, "--json");
  expect([result.exitCode, JSON.parse(result.stdout).error.code]).toEqual([exitCode, code]);
});

test("is answered by a container elsewhere", async () => {
  const container = await startContainer({ WAN_WORKER_API_KEY: testKey });
  try {
    const { url } = await container.listen();
    const remote = { OURVIDZ_URL: url, OURVIDZ_KEY: testKey };
    const args = ["tokens", "gated", "a quiet lake", "--model", "tiny-sdxl", "--json"];
    const { exitCode, stdout } = await runCli(await temporaryFolder(), args, remote);
    expect([exitCode, JSON.parse(stdout)]).toMatchObject([
      0,
      { type: "gated", texts: [{ encoders: [{ tokens: 3 }] }] },
    ]);
  } finally {
    await container.stop();
  }
});
