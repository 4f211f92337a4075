import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { CodedError } from "#contract/errors.ts";
import type { CommandEngine } from "#contract/handler.ts";
import { killGroup } from "#runtime/executor/watchdog/processes.ts";
import type { EngineSettings } from "./engine-settings.ts";
import { readHelp } from "./read-help.ts";

/** What any job needs; which of the others there have to be is a matter of each job. */
const neededByAll = [
  "task",
  "size",
  "frame_num",
  "sample_steps",
  "sample_guide_scale",
  "base_seed",
  "prompt",
  "save_file",
];

/** Python loads its libraries before it answers, from a disk that may be slow. */
const answerLimitMs = 90_000;
const maxHelpCharacters = 256_000;

/**
 * Tries a worker's command: its weights are there, it answers `--help`, and has the arguments that every job needs.
 * @throws CodedError ENGINE_UNAVAILABLE with what is wrong
 */
export async function openEngine(settings: EngineSettings, limitMs = answerLimitMs): Promise<CommandEngine> {
  const { models: _, ...engine } = settings;
  const { checkpointsFolder, task } = engine;
  if (checkpointsFolder !== undefined && !(await isFolder(checkpointsFolder)))
    throw unavailable(`there is no folder ${checkpointsFolder} with its weights`);
  const options = readHelp(await helpOf(settings, limitMs));
  const needed = [...neededByAll, ...(checkpointsFolder === undefined ? [] : ["ckpt_dir"])];
  const lacking = needed.filter((name) => options[name] === undefined).map((name) => `--${name}`);
  if (lacking.length > 0) throw unavailable(`its --help does not list ${lacking.join(", ")}`);
  const { task: tasks = [] } = options;
  if (tasks.length > 0 && !tasks.includes(task)) throw unavailable(`it has no --task ${task}, but ${tasks.join(", ")}`);
  return { ...engine, options };
}

function unavailable(problem: string, cause?: unknown): CodedError {
  const remedy = "Mend it or its settings (WAN_COMMAND and what belongs to it), and it is tried again";
  return new CodedError("ENGINE_UNAVAILABLE", `The worker's command cannot be used: ${problem}. ${remedy}.`, { cause });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
}

/** What the command prints on `--help`; whatever it has started is gone then. */
async function helpOf({ command, environment }: EngineSettings, limitMs: number): Promise<string> {
  const [program = "", ...args] = command;
  const child = spawn(program, [...args, "--help"], {
    cwd: tmpdir(),
    env: { ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text = (text + chunk).slice(0, maxHelpCharacters);
    });
  const kill = () => void (child.pid !== undefined && killGroup(child.pid));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    kill();
    // What has left its group may hold them.
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
  }, limitMs);
  child.once("exit", kill);
  try {
    const [code, signal] = await once(child, "close").catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw unavailable(`${program} cannot be run (${reason})`, error);
    });
    if (isLate) throw unavailable(`it did not answer --help within ${limitMs / 1000} s`);
    if (code === 0) return text;
    const last = text.trim().split("\n").slice(-2).join("; ");
    throw unavailable(`--help ended with ${signal ?? `code ${code}`}${last === "" ? "" : `: ${last}`}`);
  } finally {
    clearTimeout(timer);
  }
}
