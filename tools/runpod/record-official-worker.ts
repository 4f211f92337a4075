import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { startEmulator } from "#functions/runpod/emulator.ts";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";

/*
 * Runs RunPod's official worker at our emulator, checks what its jobs become, and writes down what it sends, for the tests of
 * our own worker:
 *
 *   python3 -m venv <folder> && <folder>/bin/pip install runpod==1.12.0
 *   node tools/runpod/record-official-worker.ts <folder>/bin/python
 */
interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const python = process.argv[2];
if (python === undefined) throw new Error("say which Python has RunPod's package: record-official-worker.ts <python>");
const target = fileURLToPath(new URL("../../runtime/sources/runpod/testing/official-worker.json", import.meta.url));
const worker = fileURLToPath(new URL("official_worker.py", import.meta.url));
const kept = ["authorization", "content-type", "charset", "x-request-id"];
const modes = ["echo", "error", "raise", "progress", "refresh"];

const folder = await mkdtemp(join(tmpdir(), "ourvidz-official-"));
const config = readConfig({ DATA_DIR: folder }, () => "recorder");
const embedded = await openEmbedded(config);
const queue = new JobQueues(new Map([["sqlite", embedded.source]]));
const log = await createLogger({ level: "warn", format: "json" });
const own = { config, embedded, log };
const emulator = await startEmulator({
  ...own,
  source: embedded.source,
  queue,
  apiKeys: [],
  host: "127.0.0.1",
  port: 0,
});

const recorded: Recorded[] = [];
/** In front of the emulator: writes down what passes. */
const recorder = createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  const { method = "", url = "", headers } = request;
  // The official worker puts `&` behind addresses that have no query.
  const [path = "", ...queries] = url.split(/[?&]/);
  recorded.push({
    method,
    path,
    query: Object.fromEntries(new URLSearchParams(queries.join("&"))),
    headers: Object.fromEntries(
      kept.flatMap((name) => (typeof headers[name] === "string" ? [[name, headers[name]]] : [])),
    ),
    body: text === "" ? null : JSON.parse(text),
  });
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const init = {
    method,
    headers: { authorization: "any" },
    signal: gone.signal,
    ...(text === "" ? {} : { body: text }),
  };
  const answer = await fetch(`${new URL(emulator.url).origin}${url}`, init).catch(() => null);
  if (answer === null) return void response.destroy();
  response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/plain" });
  response.end(await answer.text());
});
recorder.listen(0, "127.0.0.1");
await once(recorder, "listening");
const base = `http://127.0.0.1:${(recorder.address() as AddressInfo).port}/v2/lakes`;

async function run(streams: boolean, inputs: readonly object[]): Promise<Record<string, unknown>[]> {
  const child = spawn(python ?? "", [worker], {
    cwd: folder,
    // A group of its own: it pings from a process that would outlive it.
    detached: true,
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      STREAMS: streams ? "1" : "0",
      RUNPOD_WEBHOOK_GET_JOB: `${base}/job-take/$ID?gpu=A40`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${base}/job-done/$RUNPOD_POD_ID/$ID?gpu=A40`,
      RUNPOD_WEBHOOK_POST_STREAM: `${base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=A40`,
      RUNPOD_WEBHOOK_PING: `${base}/ping/$RUNPOD_POD_ID?gpu=A40`,
      RUNPOD_PING_INTERVAL: "1000",
      RUNPOD_AI_API_KEY: "raw-key",
      RUNPOD_POD_ID: "pod-1",
      RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
      RUNPOD_SKIP_GPU_CHECK: "true",
      RUNPOD_DEBUG_LEVEL: "ERROR",
    },
  });
  const ends: Record<string, unknown>[] = [];
  for (const input of inputs) {
    const answer = await fetch(`${emulator.url}/lakes/runsync?wait=60000`, {
      method: "POST",
      body: JSON.stringify({ input }),
    });
    ends.push(JSON.parse(await answer.text()));
  }
  const exited = once(child, "exit");
  if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  await exited;
  return ends;
}

const ends = [
  ...(await run(
    false,
    modes.map((mode) => ({ mode, lake: "calm" })),
  )),
  ...(await run(true, [{ mode: "stream" }])),
];
const cases = [...modes, "stream"];
const expected = ["COMPLETED", "FAILED", "FAILED", "COMPLETED", "COMPLETED", "COMPLETED"];
const wrong = cases.filter((_, index) => ends[index]?.status !== expected[index]);
for (const [index, name] of cases.entries())
  process.stdout.write(`${name} ${JSON.stringify(ends[index]).slice(0, 160)}\n`);
if (wrong.length > 0) throw new Error(`the official worker's jobs became something else: ${wrong.join(", ")}`);

const idOf = (index: number) => String(ends[index]?.id);
/** Without what is this machine's own. */
const named = (text: string) => cases.reduce((all, name, index) => all.replaceAll(idOf(index), name), text);
const posts = Object.fromEntries(
  cases.map((name, index) => [
    name,
    recorded.filter(({ method, path }) => method === "POST" && path.includes(idOf(index))),
  ]),
);
const withoutTraceback = (key: string, value: unknown) => {
  if (key !== "error" || typeof value !== "string" || !value.startsWith("{")) return value;
  return JSON.stringify({ ...JSON.parse(value), error_traceback: "Traceback" });
};
const first = (matches: (one: Recorded) => boolean) => recorded.find(matches);
const gets = {
  take: first(({ path }) => path.includes("/job-take/")),
  stop: first(({ path }) => path.includes("/job-stop/")),
  ping: first(({ path, query }) => path.includes("/ping/") && query.job_id === undefined),
};
await writeFile(target, `${named(JSON.stringify({ version: "runpod 1.12.0", gets, posts }, withoutTraceback, 2))}\n`);
process.stdout.write(`written: ${target}\n`);
await emulator.close();
recorder.closeAllConnections();
recorder.close();
await embedded.close();
await rm(folder, { recursive: true, force: true });
