import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener, RequestError } from "@hono/node-server";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { errorResponse, HttpError } from "./errors.ts";
import { type App, createApp } from "./index.ts";

/** The functions, for a server of Node's. */
export interface Listener {
  readonly app: App;
  answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<unknown>;
}

/** @param given the functions, where a test has made them */
export function createListener(runtime: Runtime, log: Logger, given?: App): Listener {
  const app = given ?? createApp(runtime, log);
  const errorHandler = (error: unknown) =>
    errorResponse(error instanceof RequestError ? new HttpError("INVALID_REQUEST", `${error.message}.`) : error);
  const hostname = runtime.config.http.host;
  // Left to itself it replaces the process's own Request and Response, which the runtime uses too.
  const listener = getRequestListener(app.fetch, { hostname, errorHandler, overrideGlobalObjects: false });
  return { app, answer: async (incoming, outgoing) => await listener(incoming, outgoing) };
}
