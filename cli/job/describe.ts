import type { DeliveryNote } from "#contract/delivery-note.ts";
import { bold, coloured, oneLine } from "../output.ts";
import { age, neededText, type ShownJob, statusText, unservedText } from "./view.ts";

/** All that is known of a job, for reading. */
export function describeJob(job: ShownJob): string {
  const nowMs = Date.now();
  const since = (time: string) => `${time} (${age(Date.parse(time), nowMs)} ago)`;
  const dueAtMs = Date.parse(job.available_at);
  const lines = [
    ["job", job.job_id],
    ["type", `${job.type} (worker ${job.worker})`],
    ["status", coloured(statusText(job))],
    ["prompt", oneLine(job.prompt ?? "-")],
    ["user", job.user_id],
    ["created", since(job.created_at)],
    ...(job.status === "queued" && dueAtMs > nowMs ? [["due", `in ${age(nowMs, dueAtMs)}`]] : []),
    ...(job.waiting_for === null ? [] : [["waits for", neededText(job.worker, job.waiting_for)]]),
    ...(job.waiting_for?.served === false ? [["because", unservedText(job.worker)]] : []),
    // A container of the version before says nothing of it.
    ...(job.waiting_reason
      ? [["given back", `${job.waiting_reason.code}: ${oneLine(job.waiting_reason.message)}`]]
      : []),
    ...(job.delivery ? deliveryLines(job.delivery, nowMs) : []),
    ...(job.settled_at === null ? [] : [["settled", since(job.settled_at)]]),
    ...(Object.keys(job.config).length === 0 ? [] : [["config", JSON.stringify(job.config)]]),
    ...(job.error === null ? [] : [["error", `${job.error.code}: ${oneLine(job.error.message)}`]]),
    ...job.attempts.map((attempt) => [`attempt ${attempt.attempt}`, describeAttempt(attempt)]),
    ...job.assets.map(({ file, url, path }) => ["file", file ?? url ?? `${path} (not in this data folder)`]),
  ];
  const width = Math.max(...lines.map(([title = ""]) => title.length));
  return lines.map(([title = "", value = ""]) => `${bold(title.padEnd(width))}  ${value}`).join("\n");
}

function deliveryLines({ becomes, step, tries, error, next_try_at: next }: DeliveryNote, nowMs: number): string[][] {
  const waitsFor = step === "files" ? "the storage to take its files" : "the app to take its report";
  const seen = next === null ? "" : `, next try in ${age(nowMs, Date.parse(next))}`;
  return [
    [
      "delivering",
      `has been worked off (${becomes}); waits for ${waitsFor}: ${tries} ${tries === 1 ? "try" : "tries"}${seen}; cannot be cancelled`,
    ],
    ...(error === null ? [] : [["reason", `${error.code}: ${oneLine(error.message)}`]]),
  ];
}

function describeAttempt({ outcome, worker_id, started_at, ended_at, error }: ShownJob["attempts"][number]): string {
  const seconds = ended_at === null ? null : (Date.parse(ended_at) - Date.parse(started_at)) / 1000;
  return [
    `${coloured(outcome)} on ${worker_id}`,
    seconds === null ? "" : ` after ${seconds.toFixed(1)} s`,
    error === null ? "" : `: ${oneLine(error.message)}`,
  ].join("");
}
