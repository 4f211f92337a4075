import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createLogger } from "#runtime/observe/log.ts";
import { startTestRuntime, type TestRuntime } from "#test/support/runtime.ts";
import { type App, createApp } from "../index.ts";
import { type RunningServer, type ServerOptions, startServer } from "../server.ts";

export const testKey = "a-key-for-tests-0001";

export interface TestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body read as JSON; null when it is not. */
  readonly json: unknown;
}

/** A real container on a folder of its own, with the handlers beside this file, and its HTTP side. */
export interface TestContainer {
  readonly runtime: TestRuntime;
  readonly app: App;
  call(method: string, path: string, init?: { body?: unknown; headers?: Record<string, string> }): Promise<TestAnswer>;
  /** Enqueues a `gated` job that waits; `open` lets it go on. */
  submitGated(config?: Record<string, unknown>): Promise<{ id: string; open(): Promise<void> }>;
  listen(options?: ServerOptions): Promise<RunningServer>;
  stop(): Promise<void>;
}

export async function startContainer(env: Record<string, string> = {}): Promise<TestContainer> {
  const runtime = await startTestRuntime({
    HANDLERS_DIR: fileURLToPath(new URL("./handlers", import.meta.url)),
    PORT: "0",
    ...env,
  });
  const log = await createLogger({ level: "silent", format: "json" });
  const app = createApp(runtime, log);
  const servers: RunningServer[] = [];
  return {
    runtime,
    app,
    async call(method, path, { body, headers = {} } = {}) {
      const response = await app.request(path, {
        method,
        headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      return toAnswer(response);
    },
    async submitGated(config = {}) {
      const gate = join(runtime.folder, randomUUID());
      const id = await runtime.submit("gated", { gate, ...config });
      return { id, open: () => writeFile(gate, "") };
    },
    async listen(options = {}) {
      const server = await startServer(runtime, log, { app, ...options });
      servers.push(server);
      return server;
    },
    async stop() {
      await Promise.all(servers.map((server) => server.close()));
      await runtime.stop();
      await runtime.remove();
    },
  };
}

export async function toAnswer(response: Response): Promise<TestAnswer> {
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
