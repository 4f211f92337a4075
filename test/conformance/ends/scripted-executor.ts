import { setTimeout as pause } from "node:timers/promises";
import { WorkFolder } from "#runtime/executor/child/work-folder.ts";
import { Executor, type RunningTask } from "#runtime/executor/parent/executor.ts";
import type { AttemptEnd, TaskHooks, TaskRequest } from "#runtime/executor/parent/task-slot.ts";
import type { AbortReason } from "#runtime/executor/protocol.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Chance } from "./chance.ts";

/*
 * An executor without a process: each attempt takes some steps and ends in one of the ways in which attempts end. When it is to
 * stop it does, or has just completed, or goes on until it is killed.
 */
const crashed: AttemptEnd = { kind: "crashed", evidence: { exitCode: null, signal: "SIGKILL", lastOutput: "" } };
const maxSteps = 4;
const maxStepMs = 4;

export class ScriptedExecutor extends Executor {
  readonly #chance: Chance;
  #end: ((end: AttemptEnd) => void) | null = null;
  #isDead = false;

  constructor(worker: string, log: Logger, chance: Chance) {
    const folders = { handlersFolder: "", modelsFolder: "", cacheFolder: "" };
    super({ worker, ...folders, log: { level: "silent", format: "json" } }, log, {
      restartMaxMs: 1000,
      stoppedMaxMs: Number.POSITIVE_INFINITY,
    });
    this.#chance = chance;
  }

  override get available(): boolean {
    return !this.#isDead && this.#end === null;
  }

  override get heldModels(): readonly string[] {
    return [];
  }

  override run(request: TaskRequest, hooks: TaskHooks): RunningTask {
    const { promise: ended, resolve } = Promise.withResolvers<AttemptEnd>();
    const end = (how: AttemptEnd): void => {
      if (this.#end !== end || this.#isDead) return;
      this.#end = null;
      resolve(how);
      this.emit("state", "idle");
    };
    this.#end = end;
    void this.#work(request, hooks, () => this.#end === end && !this.#isDead).then(end);
    return { ended, abort: (reason) => void this.#abort(request, reason).then(end), kill: () => end(crashed) };
  }

  /** As by SIGKILL. */
  crash(): void {
    this.#end?.(crashed);
  }

  /** It died with its container: nobody hears of its job. */
  override async stop(): Promise<void> {
    this.#isDead = true;
  }

  async #work(request: TaskRequest, hooks: TaskHooks, isRunning: () => boolean): Promise<AttemptEnd> {
    const steps = this.#chance.below(maxSteps + 1);
    for (let step = 1; step <= steps; step++) {
      await pause(this.#chance.random() * maxStepMs);
      if (isRunning()) hooks.onProgress({ kind: "progress", step, total: maxSteps });
    }
    const draw = this.#chance.random();
    if (draw < 0.55) return await this.#completed(request);
    if (draw < 0.7) return failed("backoff");
    if (draw < 0.8) return failed("never");
    if (draw < 0.9) return crashed;
    // It hangs, until it is stopped or has lost its lease.
    return await new Promise(() => undefined);
  }

  async #abort(request: TaskRequest, reason: AbortReason): Promise<AttemptEnd> {
    await pause(this.#chance.random() * maxStepMs);
    const draw = this.#chance.random();
    if (draw < 0.8) return { kind: "aborted", reason };
    if (draw < 0.9) return await this.#completed(request);
    return await new Promise(() => undefined);
  }

  async #completed({ workFolder }: TaskRequest): Promise<AttemptEnd> {
    const folder = new WorkFolder(workFolder);
    try {
      await folder.add(Buffer.from("a quiet lake"), { type: "image", extension: "png", mimeType: "image/png" });
      return { kind: "completed", assets: [...folder.assets], metadata: {} };
    } catch {
      // Its container was killed, and the folder is gone.
      return crashed;
    }
  }
}

function failed(retry: "backoff" | "never"): AttemptEnd {
  return { kind: "failed", error: { code: "HANDLER_FAILED", message: "the river is too wide" }, retry };
}
