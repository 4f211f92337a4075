import { expect, it } from "vitest";
import { jobEnvelope } from "#contract/job.ts";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { ContainerJobs } from "./container-jobs.ts";

const job = jobEnvelope.parse({ id: "lake", type: "chat" });

it("streams what has come since it was read last, and the rest from the record", () => {
  const events = new JobEvents();
  const jobs = new ContainerJobs(events);
  expect(jobs.drain({ job, result: null })).toEqual([]);
  events.emit("lake", { kind: "text", text: "a " });
  events.emit("lake", { kind: "text", text: "a quiet " });
  expect(jobs.drain({ job, result: null })).toEqual(["a quiet "]);
  expect(jobs.drain({ job, result: null })).toEqual([]);
  expect(jobs.drain({ job, result: { assets: [], metadata: {}, text: "a quiet lake" } })).toEqual(["lake"]);
  jobs.restart("lake");
  expect(jobs.drain({ job, result: null })).toEqual(["a quiet "]);
});

it("ends a wait when the job has changed", async () => {
  const events = new JobEvents();
  const jobs = new ContainerJobs(events);
  const waited = jobs.wait("lake", 600_000, new AbortController().signal);
  events.emit("lake", { kind: "state", status: "running", attempt: 1 });
  await waited;
});

it("knows the progress of the attempt that runs, not of the one before", () => {
  const events = new JobEvents();
  const jobs = new ContainerJobs(events);
  events.emit("lake", { kind: "state", status: "running", attempt: 1 });
  events.emit("lake", { kind: "progress", progress: 0.5, step: 1, total: 2 });
  expect(jobs.peek("lake")?.progress).toEqual({ progress: 0.5, step: 1, total: 2 });
  events.emit("lake", { kind: "state", status: "running", attempt: 2 });
  expect(jobs.peek("lake")?.progress).toBeUndefined();
});
