import runpodSdk from "runpod-sdk";
import { expect, it, vi } from "vitest";
import { startTestEmulator, testKey } from "./testing/emulator.ts";

/* RunPod's own client for JavaScript, all of its methods, against the emulator. */
async function connected() {
  // It prints each round of its wait.
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  const emulator = await startTestEmulator();
  const endpoint = runpodSdk(testKey, { baseUrl: emulator.url }).endpoint("lakes");
  if (endpoint === null) throw new Error("there is no endpoint");
  return { emulator, endpoint, worker: emulator.worker("lakes") };
}

it("runs a job, and reads its status on the way and at the end", async () => {
  const { endpoint, worker } = await connected();
  const { id, status } = await endpoint.run({ input: { prompt: "a lake" } });
  expect([id, status]).toEqual([expect.stringMatching(/^[0-9a-f-]{36}-u1$/), "IN_QUEUE"]);
  expect(await endpoint.status(id)).toMatchObject({ id, status: "IN_QUEUE", started: true, completed: false });
  expect(await worker.take()).toEqual({ status: 200, jobs: [{ id, input: { prompt: "a lake" } }] });
  expect(await worker.done(id, { status: "IN_PROGRESS", output: { progress: 0.5 } })).toBe(200);
  const running = await endpoint.status(id);
  expect(running).toMatchObject({ status: "IN_PROGRESS", output: { progress: 0.5 }, workerId: "pod-1" });
  expect(await worker.done(id, { output: { picture: "lake.png" } })).toBe(200);
  expect(await endpoint.statusSync(id)).toMatchObject({
    id,
    status: "COMPLETED",
    output: { picture: "lake.png" },
    delayTime: expect.any(Number),
    executionTime: expect.any(Number),
    completed: true,
    succeeded: true,
  });
});

it("waits for a job that it runs", async () => {
  const { endpoint, worker } = await connected();
  const answer = endpoint.runSync({ input: { prompt: "a lake" } });
  const { jobs } = await worker.take();
  const [{ id } = { id: "" }] = jobs;
  expect(id).toMatch(/^sync-/);
  await worker.done(id, { output: [1, 2] });
  expect(await answer).toMatchObject({ id, status: "COMPLETED", output: [1, 2], succeeded: true });
});

it("answers a wait that is over with the state that the job has", async () => {
  const { endpoint, emulator } = await connected();
  let answered: string | null = null;
  void endpoint.statusSync((await endpoint.run({ input: {} })).id, 1000).then(({ status }) => {
    answered = status;
  });
  const pass = async () => {
    await emulator.advance(600);
    return answered;
  };
  await expect.poll(pass).toBe("IN_QUEUE");
});

it("reads the failure of a job", async () => {
  const { endpoint, worker } = await connected();
  const { id } = await endpoint.run({ input: {} });
  await worker.take();
  await worker.done(id, { error: "the lake is dry", output: { seen: 3 } });
  const failed = await endpoint.status(id);
  expect(failed).toMatchObject({ status: "FAILED", error: "the lake is dry", output: { seen: 3 }, succeeded: false });
});

it("streams what comes, in its order, and ends with the job", async () => {
  const { endpoint, worker } = await connected();
  const { id } = await endpoint.run({ input: {} });
  await worker.take();
  const read: unknown[] = [];
  const reading = (async () => {
    for await (const chunk of endpoint.stream(id)) read.push(chunk);
  })();
  await worker.stream(id, "a ");
  await expect.poll(() => read).toEqual([{ output: "a " }]);
  await worker.stream(id, "quiet ");
  await worker.stream(id, { word: "lake" });
  await worker.done(id, { output: ["a ", "quiet ", { word: "lake" }] });
  await reading;
  expect(read).toEqual([{ output: "a " }, { output: "quiet " }, { output: { word: "lake" } }]);
});

it("cancels a job that waits and one that runs, whose container is notified", async () => {
  const { endpoint, worker } = await connected();
  const waiting = await endpoint.run({ input: {} });
  expect(await endpoint.cancel(waiting.id)).toMatchObject({ id: waiting.id, status: "CANCELLED" });
  const { id } = await endpoint.run({ input: {} });
  expect(await worker.take()).toMatchObject({ jobs: [{ id }] });
  const stops = worker.stops();
  expect(await endpoint.cancel(id)).toMatchObject({ status: "CANCELLED" });
  expect(await stops).toEqual([id]);
  // What its container posts all the same comes too late.
  expect(await worker.done(id, { output: "late" })).toBe(200);
  expect(await endpoint.status(id)).toMatchObject({ status: "CANCELLED", completed: true });
});

it("purges what waits, and counts what waits and runs", async () => {
  const { endpoint, worker } = await connected();
  const running = await endpoint.run({ input: {} });
  await worker.take();
  for (let count = 0; count < 3; count++) await endpoint.run({ input: { count } });
  expect(await endpoint.health()).toMatchObject({
    jobs: { completed: 0, failed: 0, inProgress: 1, inQueue: 3, retried: 0 },
    workers: { idle: 0, running: 1 },
  });
  expect(await endpoint.purgeQueue()).toEqual({ removed: 3, status: "completed" });
  expect(await endpoint.status(running.id)).toMatchObject({ status: "IN_PROGRESS" });
  expect((await endpoint.health()).jobs).toMatchObject({ inProgress: 1, inQueue: 0 });
});

it("is refused without a key that is known", async () => {
  const { emulator } = await connected();
  const refused = runpodSdk("another-key-for-tests", { baseUrl: emulator.url }).endpoint("lakes");
  await expect(refused?.health()).rejects.toMatchObject({ response: { status: 401 } });
});
