import { describe, expect, it } from "vitest";
import { readConfig } from "#runtime/container/config.ts";

const read = (env: Record<string, string>) => readConfig(env, () => "worker").engines;
const command = '["python","/opt/wan/generate.py"]';

it("is none by default, whatever command is set", () => {
  expect(read({}).size).toBe(0);
  expect(read({ WAN_COMMAND: command }).size).toBe(0);
});

it("runs the jobs of wan by the command that is set", () => {
  const given = {
    WAN_ENGINE: "process",
    WAN_COMMAND: command,
    WAN_CKPT_DIR: "/models/wan",
    WAN_COMMAND_MODELS: "wan,t2v",
  };
  expect(read({ ...given, WAN_COMMAND_TIMEOUT_SECONDS: "900" }).get("wan")).toMatchObject({
    command: ["python", "/opt/wan/generate.py"],
    checkpointsFolder: "/models/wan",
    task: "t2v-1.3B",
    timeoutSeconds: 900,
    models: ["wan", "t2v"],
  });
});

describe("the command's environment", () => {
  const engine = (env: Record<string, string>) =>
    read({ WAN_ENGINE: "process", WAN_COMMAND: command, ...env }).get("wan")?.environment;

  it("has what programs on a GPU need, what is named, and nothing else", () => {
    const app = {
      SUPABASE_URL: "https://abcd.supabase.co",
      SUPABASE_SERVICE_KEY: "sb_secret_0123456789",
      WAN_WORKER_API_KEY: "0123456789abcdef",
      HF_TOKEN: "hf_0123456789",
    };
    const kept = { PATH: "/bin", CUDA_VISIBLE_DEVICES: "1", HF_HOME: "/cache" };
    const named = { WAN_FLAVOUR: "vanilla", WAN_COMMAND_ENV: "WAN_FLAVOUR, WAN_UNSET" };
    expect(engine({ ...app, ...kept, ...named, OTHER: "x" })).toEqual({
      ...kept,
      WAN_FLAVOUR: "vanilla",
      PYTHONUNBUFFERED: "1",
    });
  });

  it("has no variable that holds a password, though its name may stay", () => {
    expect(engine({ PYTHONPATH: "https://me:secret@host/x" })).toEqual({ PYTHONUNBUFFERED: "1" });
  });
});

describe("what is wrong", () => {
  it.each([
    [{ WAN_ENGINE: "process" }, /WAN_COMMAND: must be set beside WAN_ENGINE=process, such as \["python"/],
    [{ WAN_ENGINE: "python" }, /WAN_ENGINE is "python": /],
    [{ WAN_COMMAND: "python generate.py" }, /WAN_COMMAND is "python generate\.py": must be a JSON list of the program/],
    [{ WAN_COMMAND: "[]" }, /WAN_COMMAND is "\[\]": must be a JSON list/],
    [{ WAN_COMMAND_TASK: "vace-14B" }, /WAN_COMMAND_TASK is "vace-14B": must be a task of the command/],
    [{ WAN_COMMAND_ENV: "A=B" }, /WAN_COMMAND_ENV.*must be names of environment variables/],
    [
      { WAN_ENGINE: "process", WAN_COMMAND: command, WAN_COMMAND_ENV: "HF_TOKEN", HF_TOKEN: "hf_0123" },
      /WAN_COMMAND_ENV: HF_TOKEN looks like a secret/,
    ],
  ])("%j", (env, problem) => {
    expect(() => read(env)).toThrow(problem);
  });
});
