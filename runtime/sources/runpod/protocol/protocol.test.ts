import { describe, expect, it } from "vitest";
import { errorBody, outputBody, progressBody } from "./bodies.ts";
import { maxBodyBytes } from "./limits.ts";
import { readStopAnswer, readTakeAnswer } from "./take-answer.ts";
import { besideTake, expandTemplate, namesJob, withQuery } from "./url-templates.ts";

const braced = (name: string) => `$\{${name}}`;

describe("templates", () => {
  it.each([
    ["https://api/v2/ep/job-take/$RUNPOD_POD_ID", "https://api/v2/ep/job-take/pod-1"],
    [
      `https://api/v2/ep/job-take/${braced("RUNPOD_POD_ID")}?gpu=$RUNPOD_GPU_TYPE_ID`,
      "https://api/v2/ep/job-take/pod-1?gpu=NVIDIA%20A40",
    ],
    ["https://api/v2/ep/job-take/$ID", "https://api/v2/ep/job-take/pod-1"],
    ["https://api/v2/ep/job-take/pod-7?gpu=x", "https://api/v2/ep/job-take/pod-7?gpu=x"],
    ["https://api/$IDENTITY/$RUNPOD_POD_IDS", "https://api/$IDENTITY/$RUNPOD_POD_IDS"],
  ])("of the take: %s", (template, url) => {
    expect(expandTemplate(template, { workerId: "pod-1", gpuType: "NVIDIA A40" })).toBe(url);
  });

  it("of a result name the job, and keep an id that would change the address out of it", () => {
    const template = `https://api/v2/ep/job-done/$RUNPOD_POD_ID/$ID?gpu=${braced("RUNPOD_GPU_TYPE_ID")}`;
    expect(expandTemplate(template, { workerId: "pod-1", jobId: "a/../b?c" })).toBe(
      "https://api/v2/ep/job-done/pod-1/a%2F..%2Fb%3Fc?gpu=",
    );
  });

  it.each([
    ["https://api/v2/ep/job-done/$RUNPOD_POD_ID/$ID", true],
    [`https://api/v2/ep/job-done/pod-1/${braced("ID")}?gpu=A40`, true],
    ["https://api/done?job=$ID", true],
    ["https://api/v2/ep/job-done/$RUNPOD_POD_ID/", false],
    ["https://api/v2/ep/job-done/pod-1/#$ID", false],
    ["https://$ID.api/v2/ep/job-done", false],
    ["https://api/v2/ep/job-done/$IDENTITY", false],
  ])("of a result: %s names the job: %s", (template, isNamed) => {
    expect(namesJob(template)).toBe(isNamed);
  });

  it("get their parameters behind ? or &, whichever is right", () => {
    const parameters = { job_in_progress: "0" };
    expect(withQuery("https://api/take/1", parameters)).toBe("https://api/take/1?job_in_progress=0");
    expect(withQuery("https://api/take/1?gpu=x", parameters)).toBe("https://api/take/1?gpu=x&job_in_progress=0");
    expect(withQuery("https://api/take/1?", parameters)).toBe("https://api/take/1?job_in_progress=0");
    expect(withQuery("https://api/take/1?a=1&", parameters)).toBe("https://api/take/1?a=1&job_in_progress=0");
    expect(withQuery("https://api/take/1#top", parameters)).toBe("https://api/take/1?job_in_progress=0#top");
    expect(withQuery("https://api/take/1", {})).toBe("https://api/take/1");
  });

  it("have others beside them, unless the address has another form", () => {
    expect(besideTake("https://api/v2/ep/job-take/pod?a=1", "job-stop")).toBe("https://api/v2/ep/job-stop/pod?a=1");
    expect(besideTake("https://api/v2/ep/job-take/pod", "job-take-batch")).toBe("https://api/v2/ep/job-take-batch/pod");
    expect(besideTake("https://api/next", "job-stop")).toBeNull();
  });
});

describe("the answer to a take", () => {
  const read = (status: number, body: unknown, contentType = "application/json") =>
    readTakeAnswer({ status, contentType, text: typeof body === "string" ? body : JSON.stringify(body) });

  it.each([
    [204, ""],
    [400, { error: "no job" }],
    [200, ""],
    [200, "null"],
    [200, []],
  ])("%i with %j is no job", (status, body) => {
    expect(read(status, body)).toEqual({ kind: "none" });
  });

  it("is a job, or several, with what came beside the input", () => {
    const job = { id: "a-u1", input: { prompt: "a lake" }, s3Config: { bucketName: "b" } };
    const asRead = { id: "a-u1", input: { prompt: "a lake" }, rest: { s3Config: { bucketName: "b" } } };
    expect(read(200, job)).toEqual({ kind: "jobs", jobs: [asRead], problems: [] });
    expect(read(200, [job, job], "text/plain")).toMatchObject({ jobs: [asRead, asRead] });
  });

  it("is a job also where the empty input was left out", () => {
    expect(read(200, { id: "a" })).toMatchObject({ jobs: [{ id: "a", input: undefined }] });
  });

  it("says what is no job, beside those that are", () => {
    expect(read(200, [{ input: {} }, 7, { id: "a", input: {} }])).toEqual({
      kind: "jobs",
      jobs: [{ id: "a", input: {}, rest: {} }],
      problems: ["its id is null, not a text", "it is 7, not an object"],
    });
  });

  it("is refused, and says so, where it is a page of HTML or an error", () => {
    expect(read(200, "<html>sign in</html>", "text/html")).toEqual({
      kind: "refused",
      status: 200,
      message: 'it answers 200 with a body of the type "text/html" that is not JSON',
    });
    expect(read(401, "")).toMatchObject({ kind: "refused", status: 401 });
    expect(read(503, "")).toMatchObject({ kind: "refused", status: 503 });
    expect(read(429, "")).toEqual({ kind: "throttled" });
  });
});

it("the stop channel's answer is read for ids alone", () => {
  const read = (status: number, text: string) => readStopAnswer({ status, contentType: "", text });
  expect(read(200, '{"jobsToStop":["a",7,null,"b"]}')).toEqual(["a", "b"]);
  for (const text of ["", "{}", "[]", '{"jobsToStop":"a"}', "<html>"]) expect(read(200, text)).toEqual([]);
  expect(read(500, '{"jobsToStop":["a"]}')).toEqual([]);
});

describe("bodies", () => {
  it("have the fields that clients and dashboards read", () => {
    expect(JSON.parse(outputBody({ text: "a lake" }, false))).toEqual({ output: { text: "a lake" } });
    expect(JSON.parse(outputBody(null, true))).toEqual({ output: null, stopPod: true });
    expect(JSON.parse(progressBody({ progress: 0.5 }))).toEqual({ status: "IN_PROGRESS", output: { progress: 0.5 } });
    const poster = { hostname: "host", workerId: "pod-1", version: "1.2.3" };
    const { error } = JSON.parse(errorBody({ code: "TIMED_OUT", message: "too slow" }, poster, false));
    expect(JSON.parse(error)).toEqual({
      error_type: "TIMED_OUT",
      error_message: "too slow",
      error_traceback: "",
      hostname: "host",
      worker_id: "pod-1",
      runpod_version: "1.2.3",
    });
  });

  it("may be larger for a job that is waited for", () => {
    expect(maxBodyBytes("0a1b-u1")).toBe(10_485_760);
    expect(maxBodyBytes("sync-0a1b-u1")).toBe(20_971_520);
  });
});
