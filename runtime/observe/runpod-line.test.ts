import { expect, it } from "vitest";
import { createLogger } from "./log.ts";

async function logged(fields: object, message: string) {
  const lines: string[] = [];
  const output = { dropped: 0, write: (line: string | Uint8Array) => lines.push(line.toString()) > 0 };
  (await createLogger({ level: "info", format: "runpod" }, {}, output)).child(fields).info(message);
  expect(lines.join("")).toMatch(/^[^\n]+\n$/);
  return JSON.parse(lines.join(""));
}

it("says whose line it is in RunPod's words, and in ours", async () => {
  const line = await logged({ job_id: "of-the-app", requestId: "a-u1", attempt: 2 }, "job completed");
  expect(line).toMatchObject({
    requestId: "a-u1",
    message: "job completed",
    level: "info",
    job_id: "of-the-app",
    attempt: 2,
    time: expect.any(String),
  });
  expect(line).not.toHaveProperty("msg");
});

it.each([
  [{ job_id: "app", runpod_id: "a-u1" }, "a-u1"],
  [{ job_id: "a-u1" }, "a-u1"],
  [{}, undefined],
  [{ requestId: 7, job_id: "a-u1" }, "a-u1"],
])("finds the request of %j", async (fields, requestId) => {
  expect((await logged(fields, "seen")).requestId).toBe(requestId);
});

it("cuts the middle out of a message that is longer than RunPod takes", async () => {
  const { message } = await logged({}, `the first lake ${"m".repeat(5000)} the last lake`);
  expect(message).toHaveLength(4096);
  expect(message).toMatch(/^the first lake m+ … m+ the last lake$/);
  expect((await logged({}, "m".repeat(4096))).message).toBe("m".repeat(4096));
});
