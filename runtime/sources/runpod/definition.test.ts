import { pino } from "pino";
import { expect, it } from "vitest";
import { runpod } from "./definition.ts";

const shared = { workerId: "pod-1", leaseSeconds: 30, supabase: null };

/** What a container, or a command of a person, says when it connects. */
async function saidOf(
  takeUrl: string,
  workers: readonly string[],
  pingUrl = "http://127.0.0.1:9/v2/lakes/ping/$RUNPOD_POD_ID",
): Promise<readonly string[]> {
  const said: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  const configured = runpod
    .read({
      RUNPOD_WEBHOOK_GET_JOB: takeUrl,
      RUNPOD_WEBHOOK_POST_OUTPUT: "http://127.0.0.1:9/v2/lakes/job-done/$ID",
      RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
      ...(pingUrl === "" ? {} : { RUNPOD_WEBHOOK_PING: pingUrl }),
    })
    .configure(shared);
  const connected = await configured?.connect({
    workers,
    log,
    embedded: () => Promise.reject(new Error("it has no queue in the data folder")),
  });
  await connected?.source.close();
  return said;
}

it("a container whose address of takes says nothing of stops says at its start that it hears of none", async () => {
  const deaf = "http://127.0.0.1:9/v2/lakes/jobs?worker=$ID";
  expect(await saidOf(deaf, ["images"])).toEqual([expect.stringContaining("has no /job-take/ in it")]);
  expect(await saidOf(deaf, [])).toEqual([]);
  expect(await saidOf("http://127.0.0.1:9/v2/lakes/job-take/$ID", ["images"])).toEqual([]);
});

it("a container that has no address for pings says so once, at its start", async () => {
  const takeUrl = "http://127.0.0.1:9/v2/lakes/job-take/$ID";
  expect(await saidOf(takeUrl, ["images"], "")).toEqual([expect.stringContaining("RUNPOD_WEBHOOK_PING is not set")]);
  expect(await saidOf(takeUrl, [], "")).toEqual([]);
});
