import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { PromptReader } from "./prompt-reader.ts";

const handlersFolder = fileURLToPath(new URL("../../functions/testing/handlers", import.meta.url));
const log = await createLogger({ level: "silent", format: "json" });
const readers: PromptReader[] = [];

function reader(options: { timeoutMs?: number; idleMs?: number } = {}): PromptReader {
  const made = new PromptReader({ log, handlersFolder, stoppedMaxMs: 60_000, ...options });
  readers.push(made);
  return made;
}
afterEach(() => {
  for (const one of readers.splice(0)) one.stop();
});

const never = new AbortController().signal;
const question = (prompt: string) => ({ type: "gated", modelFolder: "/models/any", texts: { prompt } });

describe("PromptReader", () => {
  it("kills what takes too long, and answers the next", async () => {
    const one = reader({ timeoutMs: 3000 });
    const [slow, next] = [one.read(question("never"), never), one.read(question("a lake"), never)];
    await expect(slow).rejects.toMatchObject({ code: "TIMED_OUT" });
    expect(await next).toMatchObject({ texts: [{ encoders: [{ tokens: 2 }] }] });
  });

  it("does not read for those who have left", async () => {
    const one = reader();
    const controller = new AbortController();
    const [first, second] = [one.read(question("a lake"), never), one.read(question("die"), controller.signal)];
    controller.abort(new Error("gone"));
    await expect(second).rejects.toThrow("gone");
    expect((await first).texts).toHaveLength(1);
  });

  it("starts another process after one that was idle for too long", async () => {
    const one = reader({ idleMs: 1 });
    await one.read(question("a lake"), never);
    await vi.waitFor(() => expect(one.pid).toBeNull());
    expect((await one.read(question("a lake"), never)).texts).toHaveLength(1);
  });

  it("fails what waits when the container stops", async () => {
    const one = reader();
    const waiting = [one.read(question("never"), never), one.read(question("a lake"), never)];
    one.stop();
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code: "SHUTTING_DOWN" });
  });
});
