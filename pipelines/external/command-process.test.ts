import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { runCommand } from "./command-process.ts";

const script = fileURLToPath(new URL("../../test/support/wan-command.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ourvidz-command-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Run {
  readonly pid: number;
  readonly children: readonly number[];
}

/** A command under way, and what it has recorded of itself by the time it hangs. */
function start(behaviour: string, signal: AbortSignal, graceMs?: number) {
  const record = join(mkdtempSync(join(folder, "record-")), "runs.jsonl");
  const file = join(folder, `${behaviour}.mp4`);
  const job = ["--task=t2v-1.3B", "--size=32*32", "--frame_num=5", "--sample_steps=2", `--save_file=${file}`];
  const ended = runCommand({
    command: [process.execPath, script, `--behaviour=${behaviour}`, `--record=${record}`, ...job],
    environment: { PATH: process.env.PATH ?? "" },
    ...{ folder, signal, onBar: () => undefined },
    ...(graceMs === undefined ? {} : { graceMs }),
  });
  ended.catch(() => undefined);
  const run = (): Run | null => (existsSync(record) ? JSON.parse(readFileSync(record, "utf8")) : null);
  const recorded = async (): Promise<Run> => {
    await expect.poll(run).not.toBeNull();
    const found = run();
    if (found === null) throw new Error("nothing is recorded");
    onTestFinished(() => {
      for (const pid of [found.pid, ...found.children]) if (isAlive(pid)) process.kill(pid, "SIGKILL");
    });
    return found;
  };
  return { ended, recorded, outlivedTerm: () => existsSync(`${record}.term`) };
}

function isAlive(pid: number): boolean {
  const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
  return stat !== "" && !/\) [ZX] /.test(stat);
}

it("ends on the signal, and leaves no zombie", async () => {
  const stop = new AbortController();
  const { ended, recorded } = start("hangs", stop.signal);
  const { pid } = await recorded();
  stop.abort(new Error("cancelled"));
  await expect(ended).rejects.toThrow("cancelled");
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

it("is killed when it does not end within its grace", async () => {
  const stop = new AbortController();
  const { ended, recorded, outlivedTerm } = start("ignores_term", stop.signal, 2000);
  const { pid } = await recorded();
  stop.abort(new Error("cancelled"));
  // Before the grace is over: the handler of SIGTERM has run, and the process goes on.
  await expect.poll(outlivedTerm).toBe(true);
  await expect(ended).rejects.toThrow("cancelled");
  expect(isAlive(pid)).toBe(false);
});

it("takes the children in its group along when it is stopped, also those that ignore SIGTERM", async () => {
  const stop = new AbortController();
  const { ended, recorded } = start("forks", stop.signal);
  const { children } = await recorded();
  stop.abort(new Error("cancelled"));
  await expect(ended).rejects.toThrow("cancelled");
  const [inGroup = 0] = children;
  await expect.poll(() => isAlive(inGroup)).toBe(false);
});

it("takes them along when it ends by itself, and does not wait for what holds its output", async () => {
  const { ended, recorded } = start("leaves_children", new AbortController().signal);
  const { children } = await recorded();
  expect(await ended).toMatchObject({ code: 0 });
  const [inGroup = 0] = children;
  await expect.poll(() => isAlive(inGroup)).toBe(false);
});

it("is not started when it is cancelled before", async () => {
  const { ended } = start("well", AbortSignal.abort(new Error("cancelled")));
  await expect(ended).rejects.toThrow("cancelled");
  expect(existsSync(join(folder, "well.mp4"))).toBe(false);
});
