import { type Context, Hono } from "hono";
import { CodedError } from "#contract/errors.ts";
import { shortened } from "#contract/problems.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { maxBodyBytes } from "#runtime/sources/runpod/protocol/limits.ts";
import { HttpError, isForeseen } from "../errors.ts";
import { requestBase } from "../http/request-base.ts";
import { errorAnswer, readBody } from "./answers.ts";
import { Endpoint, type EndpointBackend, type Wait } from "./endpoint.ts";
import { type Operation, RateLimits } from "./rate-limits.ts";

/*
 * `/v2/<endpoint>/…`, as RunPod's clients call it: every success is answered with exactly 200, and what is read can be read by
 * GET and by POST, since both are in use.
 */
export interface EndpointRoutesOptions {
  readonly backend: EndpointBackend;
  readonly publicUrl: string | undefined;
  readonly log: Logger;
  readonly nowMs?: () => number;
  readonly monotonicMs?: () => number;
  /** A place among the answers that take long; its signal aborts when the server closes. */
  hold?(): AbortController;
  /** The body of a submission, in place of what RunPod takes. */
  readBody?(request: Request): Promise<unknown>;
}

interface Call {
  readonly endpoint: Endpoint;
  readonly id: string;
  readonly context: Context;
  readonly wait: Wait;
}

const minWaitMs = 1000;
const maxWaitMs = 300_000;
const syncId = "sync-";
const waiting: ReadonlySet<Operation> = new Set<Operation>(["runsync", "status-sync", "stream"]);

export function endpointRoutes(options: EndpointRoutesOptions): Hono {
  const { backend, publicUrl, log, nowMs = Date.now, monotonicMs = () => performance.now() } = options;
  const limits = new RateLimits(monotonicMs);
  const app = new Hono();
  const route = (methods: string[], operation: Operation, path: string, answer: (call: Call) => Promise<unknown>) => {
    app.on(methods, path, async (context) => {
      const name = context.req.param("endpoint") ?? "";
      let place: AbortController | undefined;
      try {
        const waitMs = waitOf(context.req.query("wait"));
        place = waiting.has(operation) ? options.hold?.() : undefined;
        const signals = [context.req.raw.signal, ...(place === undefined ? [] : [place.signal])];
        const wait = { waitMs, signal: AbortSignal.any(signals), base: requestBase(context.req.raw, publicUrl) };
        const endpoint = new Endpoint(name, backend, nowMs);
        const call = { endpoint, id: context.req.param("id") ?? "", context, wait };
        return Response.json(await limits.within(name, operation, () => answer(call)));
      } catch (error) {
        if (!isForeseen(error)) log.error({ error, path: context.req.path }, "a request of an endpoint failed");
        return errorAnswer(error);
      } finally {
        place?.abort();
      }
    });
    app.all(path, () => errorAnswer(methodNotAllowed(operation, methods)));
  };
  const body = ({ context: { req } }: Call, id = "") =>
    options.readBody === undefined ? readBody(req.raw, maxBodyBytes(id)) : options.readBody(req.raw);
  const read = ["GET", "POST"];
  route(["POST"], "run", "/:endpoint/run", async (call) => call.endpoint.run(await body(call)));
  route(["POST"], "runsync", "/:endpoint/runsync", async (call) =>
    call.endpoint.runSync(await body(call, syncId), call.wait),
  );
  route(read, "status", "/:endpoint/status/:id", ({ endpoint, id, wait }) => endpoint.status(id, wait.base));
  route(read, "status-sync", "/:endpoint/status-sync/:id", ({ endpoint, id, wait }) => endpoint.statusSync(id, wait));
  route(read, "stream", "/:endpoint/stream/:id", ({ endpoint, id, wait }) => endpoint.stream(id, wait));
  route(["POST"], "cancel", "/:endpoint/cancel/:id", ({ endpoint, id }) => endpoint.cancel(id));
  route(["POST"], "retry", "/:endpoint/retry/:id", ({ endpoint, id }) => endpoint.retry(id));
  route(["POST"], "purge-queue", "/:endpoint/purge-queue", ({ endpoint }) => endpoint.purgeQueue());
  route(["GET"], "health", "/:endpoint/health", ({ endpoint }) => endpoint.health());
  route(["GET"], "requests", "/:endpoint/requests", ({ endpoint }) => endpoint.requests());
  return app;
}

function methodNotAllowed(operation: Operation, methods: readonly string[]): HttpError {
  const allowed = methods.join(" or ");
  const headers = { Allow: methods.join(", ") };
  return new HttpError("METHOD_NOT_ALLOWED", `The operation ${operation} is called with ${allowed}.`, { headers });
}

/** Undefined when it is not given; what is too short or too long is brought in. @throws CodedError INVALID_REQUEST */
function waitOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (!/^\d+$/.test(given)) {
    const shown = JSON.stringify(shortened(given));
    const message = `wait is ${shown}: it must be a whole number of milliseconds. Fewer than ${minWaitMs} count as ${minWaitMs}, more than ${maxWaitMs} as ${maxWaitMs}.`;
    throw new CodedError("INVALID_REQUEST", message);
  }
  return Math.min(Math.max(Number(given), minWaitMs), maxWaitMs);
}
