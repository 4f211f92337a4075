import { z } from "zod";
import { callbackAsset } from "#contract/callback.ts";
import type { Embedded } from "#runtime/runtime.ts";
import type { JobRecord } from "#runtime/source/job-source.ts";
import { bold, coloured, oneLine } from "../output.ts";
import { age, assetFile, statusText } from "./view.ts";

const assets = z.array(callbackAsset);

/** All that is known of a job, for reading. */
export function describeJob(record: JobRecord, { store }: Pick<Embedded, "store">): string {
  const nowMs = Date.now();
  const { job } = record;
  const lines = [
    ["job", job.id],
    ["type", `${job.type} (worker ${record.worker})`],
    ["status", coloured(statusText(record))],
    ["prompt", oneLine(job.prompt ?? "-")],
    ["user", job.user_id],
    ["created", `${new Date(record.createdAtMs).toISOString()} (${age(record.createdAtMs, nowMs)} ago)`],
    ...(record.status === "queued" && record.availableAtMs > nowMs
      ? [["due", `in ${age(nowMs, record.availableAtMs)}`]]
      : []),
    ...(record.settledAtMs === null
      ? []
      : [["settled", `${new Date(record.settledAtMs).toISOString()} (${age(record.settledAtMs, nowMs)} ago)`]]),
    ...(Object.keys(job.config).length === 0 ? [] : [["config", JSON.stringify(job.config)]]),
    ...(record.error === null ? [] : [["error", `${record.error.code}: ${oneLine(record.error.message)}`]]),
    ...record.attempts.map((attempt) => [
      `attempt ${attempt.attempt}`,
      [
        `${coloured(attempt.outcome)} on ${attempt.workerId}`,
        attempt.endedAtMs === null ? "" : ` after ${((attempt.endedAtMs - attempt.startedAtMs) / 1000).toFixed(1)} s`,
        attempt.error === null ? "" : `: ${oneLine(attempt.error.message)}`,
      ].join(""),
    ]),
    ...assets.parse(record.result?.assets ?? []).map(({ url }) => ["file", assetFile(store, job, url)]),
  ];
  const width = Math.max(...lines.map(([title = ""]) => title.length));
  return lines.map(([title = "", value = ""]) => `${bold(title.padEnd(width))}  ${value}`).join("\n");
}
