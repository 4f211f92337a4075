import fc from "fast-check";
import { z } from "zod";
import { PermanentError } from "#contract/errors.ts";
import { defineHandler, type HandlerContext } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/*
 * Hands over whatever JavaScript has, drawn from a seed, in every place where a handler can hand something over. What is of
 * the wrong type goes through Reflect, as it would from a handler without types.
 */
const cyclic: Record<string, unknown> = {};
cyclic.self = [cyclic];

function noBrush(): never {
  throw new Error("no brush");
}

const throwing = {
  get brush() {
    return noBrush();
  },
};

const odd = [
  undefined,
  () => 1,
  Symbol("seed"),
  { [Symbol("seed")]: 1 },
  cyclic,
  throwing,
  new Proxy({}, { ownKeys: noBrush, get: noBrush, getPrototypeOf: noBrush }),
  new Proxy(new Error("no paint"), { get: noBrush }),
  Promise.resolve(1),
  new WeakMap(),
  new Array(2 ** 32 - 1),
  new SharedArrayBuffer(8),
  structuredClone(new Uint8Array(4), { transfer: [] }),
  Array.from({ length: 10_000 }).reduce<unknown>((inner) => [inner], 0),
  { message: "no paint", code: "TIMED_OUT", details: throwing },
  Object.assign(new Error("no paint"), { code: "NUMERICAL_ERROR", details: { seed: 7n }, permanent: throwing }),
  new PermanentError("no paint", { details: cyclic }),
];

const anything = fc.oneof(
  fc.constantFrom<unknown>(...odd),
  fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
    withTypedArray: true,
    withUnicodeString: true,
  }),
);

function called(ctx: HandlerContext, method: keyof HandlerContext, values: readonly unknown[]): unknown {
  const call: unknown = Reflect.get(ctx, method);
  if (typeof call !== "function") throw new Error(`ctx.${method} is no method`);
  return Reflect.apply(call, ctx, values);
}

const places: Readonly<Record<string, (ctx: HandlerContext, value: unknown, other: unknown) => unknown>> = {
  returned: (_ctx, value) => value,
  metadata: (_ctx, metadata, enhanced_prompt) => ({ metadata, enhanced_prompt }),
  nested: (_ctx, value, other) => ({ metadata: { list: [{ value }, other] } }),
  thrown(_ctx, value) {
    throw value;
  },
  details(_ctx, details) {
    throw new PermanentError("no paint", { details });
  },
  asset: (ctx, value, other) => called(ctx, "asset", [value, other]),
  asset_metadata: (ctx, metadata) =>
    called(ctx, "asset", [new Uint8Array(1), { type: "text", extension: "txt", mimeType: "text/plain", metadata }]),
  thumbnail: (ctx, thumbnail) =>
    called(ctx, "asset", [new Uint8Array(1), { type: "text", extension: "txt", mimeType: "text/plain", thumbnail }]),
  enqueue: (ctx, value) => called(ctx, "enqueue", [value]),
  child: (ctx, config, metadata) => called(ctx, "enqueue", [{ type: "anything", config, metadata }]),
  progress: (ctx, step, total) => void called(ctx, "progress", [step, total, total]),
  stage: (ctx, stage) => void called(ctx, "stage", [stage]),
  seconds: (ctx, seconds, model) => void called(ctx, "stage", [{ name: "load", seconds, model }]),
  input: (ctx, url) => called(ctx, "input", [url]),
  model: (ctx, name) => called(ctx, "model", [name]),
  run: (ctx, type, job) => called(ctx, "run", [type, job]),
  log: (ctx, fields, message) => ctx.log.info({ fields, message }, "anything"),
  unawaited: (ctx, metadata) => void called(ctx, "enqueue", [{ type: "anything", metadata }]),
};

export const placeNames = Object.keys(places);

const parameters = z.object({ place: z.string(), seed: z.int() });

export default defineHandler({
  type: "anything",
  worker: "test",
  produces: "nothing",
  input: jobEnvelope,
  parameters,
  retry: { maxAttempts: 1, timeoutSeconds: 30 },
  async run(_job, ctx) {
    const { place, seed } = await ctx.parameters();
    const [value, other] = fc.sample(anything, { seed, numRuns: 2 });
    const returned = await places[place]?.(ctx, value, other);
    return z.custom<object>().parse(returned) ?? {};
  },
});
