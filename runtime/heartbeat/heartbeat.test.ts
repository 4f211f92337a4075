import { once } from "node:events";
import { createServer } from "node:http";
import { Writable } from "node:stream";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Logger } from "#runtime/observe/log.ts";
import { EdgeRegistrar } from "./edge-registrar.ts";
import { Heartbeat } from "./heartbeat.ts";
import { checkPublicAddress } from "./self-check.ts";
import { type RegistrationService, startRegistrationService } from "./testing/registration-service.ts";

let service: RegistrationService;
let health: { status: number; body: string };
let url: string;
let server: ReturnType<typeof createServer>;
let log: { lines: { level: number; msg: string }[]; logger: Logger };

/** Pauses that the test ends. */
class Pauses {
  readonly seconds: number[] = [];
  #open: (() => void) | null = null;
  #next = Promise.withResolvers<void>();

  readonly wait = (ms: number, signal: AbortSignal): Promise<void> => {
    this.seconds.push(ms / 1000);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#open = resolve;
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
    return promise;
  };

  /** Resolves when the next pause has begun: what came before it is done. */
  begun(): Promise<void> {
    return this.#next.promise;
  }

  async over(): Promise<void> {
    const begun = this.begun();
    this.#open?.();
    await begun;
  }
}

beforeEach(async () => {
  service = await startRegistrationService();
  health = { status: 200, body: '{"status":"healthy"}' };
  server = createServer((request, response) => {
    const { status, body } = request.url === "/health" ? health : { status: 404, body: "" };
    response.writeHead(status).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  const lines: { level: number; msg: string }[] = [];
  const write = (chunk: Buffer, _encoding: string, done: () => void) => {
    lines.push(JSON.parse(chunk.toString()));
    done();
  };
  log = { lines, logger: pino({ level: "debug" }, new Writable({ write })) };
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await service.close();
});

function create(pauses: Pauses, random = 0.5): Heartbeat {
  return new Heartbeat({
    registrar: new EdgeRegistrar({ project: service, nowMs: Date.now }),
    container: {
      workerId: "pod-1",
      url,
      detectionMethod: "PUBLIC_URL",
      capabilities: ["sdxl"],
      jobTypes: [],
      version: "1.2.3",
    },
    everySeconds: 60,
    log: log.logger,
    checkAddress: checkPublicAddress,
    random: () => random,
    wait: pauses.wait,
  });
}

async function started(random?: number) {
  const pauses = new Pauses();
  const begun = pauses.begun();
  const heartbeat = create(pauses, random);
  heartbeat.start();
  await begun;
  return { pauses, heartbeat };
}

const logged = (level: number) => log.lines.filter((line) => line.level === level).map(({ msg }) => msg);

describe("a heartbeat", () => {
  it("registers again and again, and takes the registration back at its end", async () => {
    const { pauses, heartbeat } = await started();
    expect(service.containers.get("pod-1")).toMatchObject({ worker_url: url, status: "active" });
    await pauses.over();
    await pauses.over();
    expect(service.answers).toEqual([200, 200, 200]);
    expect(pauses.seconds).toEqual([60, 60, 60]);
    await heartbeat.stop();
    expect(service.containers.get("pod-1")).toMatchObject({ status: "active" });
    await heartbeat.deregister();
    expect(service.containers.get("pod-1")).toMatchObject({ status: "stopped" });
    expect(logged(30)).toEqual(["registered", "deregistered"]);
  });

  it.each([
    [0, 54],
    [0.999, 65.988],
  ])("does not keep step with others: at %d it waits %d s", async (random, seconds) => {
    const { pauses, heartbeat } = await started(random);
    expect(pauses.seconds[0]).toBeCloseTo(seconds, 2);
    await heartbeat.stop();
  });

  it.each([
    ["is not found", { status: 404, body: "" }],
    ["is somebody else's", { status: 200, body: "<html>" }],
    ["says nothing about its health", { status: 200, body: '{"ok":true}' }],
  ])("does not register an address that %s, and tries again soon", async (_what, answer) => {
    health = answer;
    const { pauses, heartbeat } = await started();
    expect(service.answers).toEqual([]);
    expect(logged(40)).toEqual(["the container could not be registered; it will be tried again"]);
    for (let beat = 1; beat < 6; beat++) await pauses.over();
    expect(pauses.seconds).toEqual([7.5, 15, 30, 45, 45, 45]);
    health = { status: 200, body: '{"status":"degraded"}' };
    await pauses.over();
    expect(service.answers).toEqual([200]);
    expect(pauses.seconds.at(-1)).toBe(60);
    await heartbeat.stop();
  });

  it("that was never sent is not taken back", async () => {
    health = { status: 503, body: "" };
    const { heartbeat } = await started();
    await heartbeat.stop();
    await heartbeat.deregister();
    expect(service.answers).toEqual([]);
  });

  it("goes on after a registration that failed, and says when it is registered again", async () => {
    service.fault = (response) => response.destroy();
    const { pauses, heartbeat } = await started();
    expect(service.containers.size).toBe(0);
    service.fault = null;
    await pauses.over();
    expect(service.containers.get("pod-1")).toMatchObject({ status: "active" });
    expect(logged(40).length).toBe(1);
    expect(logged(30)).toEqual(["registered"]);
    await heartbeat.stop();
  });

  it("ends a registration that is under way, which may have arrived, and takes it back", async () => {
    const requested = Promise.withResolvers<void>();
    service.fault = () => requested.resolve();
    const heartbeat = create(new Pauses());
    heartbeat.start();
    await requested.promise;
    service.fault = null;
    await heartbeat.stop();
    await heartbeat.deregister();
    expect(service.containers.get("pod-1")).toMatchObject({ status: "stopped" });
    expect(logged(40)).toEqual([]);
  });

  it("ends also when it cannot be taken back", async () => {
    const { heartbeat } = await started();
    service.fault = (response) => response.destroy();
    await heartbeat.stop();
    await heartbeat.deregister();
    expect(logged(40)).toEqual(["the container could not be deregistered; it counts as gone after a while"]);
  });
});
