import { EventEmitter } from "node:events";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { type AssetOptions, defineHandler, type HandlerContext } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

const text: AssetOptions = { type: "text", extension: "txt", mimeType: "text/plain" };
const bytes = new Uint8Array([104, 105]);

const throwing = Object.defineProperty({}, "brush", {
  enumerable: true,
  get() {
    throw new Error("no brush");
  },
});

async function later(work: () => unknown): Promise<void> {
  await pause(50);
  await work();
}

/** What authors of handlers do wrong, by name. */
const mistakes = {
  async none(ctx: HandlerContext) {
    await pause(400, undefined, { signal: ctx.signal });
  },
  async late_enqueue(ctx: HandlerContext) {
    void later(() => ctx.enqueue({ type: "careless", prompt: "a hill of the first user" }));
  },
  async late_progress(ctx: HandlerContext) {
    const emitter = new EventEmitter().on("frame", () => ctx.progress(1, 2));
    setTimeout(() => emitter.emit("frame"), 50);
  },
  async late_failure() {
    void later(() => Promise.reject(new Error("too late to matter")));
  },
  async forgotten_assets(ctx: HandlerContext) {
    for (let index = 0; index < 3; index++) void ctx.asset(bytes, text);
  },
  async forgotten_enqueue(ctx: HandlerContext) {
    void ctx.enqueue({ type: "careless" });
  },
  async forgotten_refusal(ctx: HandlerContext) {
    void ctx.enqueue({ type: "careless", metadata: { draw: () => 1 } });
  },
  async forgotten_second_asset(ctx: HandlerContext) {
    void (async () => {
      await ctx.asset(bytes, text);
      await ctx.asset(bytes, text);
    })();
  },
  async forgotten_helper(ctx: HandlerContext) {
    void later(() => Promise.reject(new PermanentError("no paint")));
    await pause(60_000, undefined, { signal: ctx.signal });
  },
  async stuck_after_failure() {
    void later(() => Promise.reject(new Error("no paint, and no end")));
    await new Promise(() => undefined);
  },
  async forgotten_failing_enqueue(ctx: HandlerContext) {
    void ctx.enqueue({ type: "nobody" });
  },
  async function_in_asset(ctx: HandlerContext) {
    await ctx.asset(bytes, { ...text, metadata: { seed: 1, draw: () => 1 } });
  },
  async bigint_returned() {
    return { metadata: { seed: 7n } };
  },
  async bigint_in_child(ctx: HandlerContext) {
    await ctx.enqueue({ type: "careless", config: { seeds: [1, 2n] } });
  },
  async nan_progress(ctx: HandlerContext) {
    ctx.progress(Number.NaN, 4);
  },
  async too_much_progress(ctx: HandlerContext) {
    ctx.progress(5, 4);
  },
  async nan_in_callback(ctx: HandlerContext) {
    const emitter = new EventEmitter().on("frame", () => ctx.progress(Number.NaN, 4));
    setTimeout(() => emitter.emit("frame"), 10);
    await pause(60_000, undefined, { signal: ctx.signal });
  },
  async odd_stage(ctx: HandlerContext) {
    ctx.stage({ name: "denoise", seconds: Number.POSITIVE_INFINITY });
  },
  async odd_details() {
    throw new PermanentError("no paint", { details: { seed: 7n, throwing, draw: () => 1 } });
  },
  async huge_message() {
    throw new Error("a".repeat(5_000_000));
  },
  async endless_delay() {
    throw new RetryableError("later", { delaySeconds: 1e300 });
  },
  async odd_log(ctx: HandlerContext) {
    ctx.log.info({ seed: 7n, throwing, draw: () => 1, error: new Error("no paint") }, "odd fields");
  },
  async link(ctx: HandlerContext) {
    const folder = await mkdtemp(join(tmpdir(), "ourvidz-link-"));
    const file = join(folder, "hill.txt");
    await symlink("/etc/hostname", file);
    await ctx.asset({ file }, text).finally(() => rm(folder, { recursive: true }));
  },
} satisfies Record<string, (ctx: HandlerContext) => Promise<unknown>>;

const names = Object.keys(mistakes);
const isMistake = (name: string): name is keyof typeof mistakes => names.includes(name);
const parameters = z.object({ mistake: z.string().default("none") });

export default defineHandler({
  type: "careless",
  worker: "test",
  produces: "nothing",
  input: jobEnvelope,
  parameters,
  retry: { maxAttempts: 2, timeoutSeconds: 30, backoffSeconds: 0.1 },
  async run(_job, ctx) {
    const { mistake } = await ctx.parameters();
    if (!isMistake(mistake)) throw new PermanentError(`nobody does ${mistake}`);
    const returned: unknown = await mistakes[mistake](ctx);
    return typeof returned === "object" && returned !== null ? returned : {};
  },
});
