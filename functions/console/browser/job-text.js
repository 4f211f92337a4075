// @ts-check
import { deliveryText } from "./outbox.js";
import { ago, duration, stepText, unservedText } from "./words.js";

/* A job in few words: its name, where it is, how its result is called. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./jobs.js").Live} Live */

const idLength = 8;
const nameLength = 60;

/** What it is called on the page. @param {Pick<Job, "prompt" | "type">} job */
export function headline({ prompt, type }) {
  return prompt === null || prompt.trim() === "" ? type : prompt;
}

/** enough of an id to know one from another: most are UUIDs. @param {string} id */
export function shortId(id) {
  return id.length > idLength + 4 ? id.slice(0, idLength) : id;
}

/** Its name for one line. @param {Pick<Job, "prompt" | "type" | "job_id">} job */
export function nameOf(job) {
  const line = headline(job).replaceAll(/\s+/g, " ").trim();
  const name = line.length > nameLength ? `${line.slice(0, nameLength)}…` : line;
  return `“${name}” (${shortId(job.job_id)})`;
}

/** The name of one of its files on somebody's disk. @param {Job} job @param {number} index of the asset */
export function fileNameOf(job, index) {
  const words = headline(job)
    .normalize("NFKD")
    .toLowerCase()
    .match(/[a-z0-9]+/g);
  const extension = /\.[a-z0-9]{1,8}$/i.exec(job.assets[index]?.path ?? "")?.[0] ?? "";
  const number = job.assets.length > 1 ? `-${index + 1}` : "";
  return `${[...(words ?? []).slice(0, 6), shortId(job.job_id)].join("-")}${number}${extension}`;
}

/** @param {Job} job @param {Live | undefined} live @returns {string[]} */
export function whereItIs(job, live) {
  const attempt = job.attempt > 1 ? [`attempt ${job.attempt}`] : [];
  if (job.status === "queued") return whyItWaits(job);
  if (job.delivery !== null) return [`delivering (${job.delivery.becomes})`, deliveryText(job.delivery), ...attempt];
  if (live?.step != null && live.total != null) return [stepText(live.step, live.total), ...attempt];
  const done = live?.progress ?? job.progress;
  return [done === null ? "starting" : `${Math.round(done * 100)} %`, ...attempt];
}

/** @param {Job} job */
function whyItWaits({ available_at, created_at, error, waiting_reason: reason, waiting_for: need, worker, priority }) {
  const waits = (Date.parse(available_at) - Date.now()) / 1000;
  return [
    waits > 1 ? `due in ${duration(waits)}` : `queued ${ago(created_at)}`,
    ...(priority === 0 ? [] : [`priority ${priority}`]),
    ...(need === null ? [] : [lackText(need, worker)]),
    ...(reason === null ? [] : [`given back: ${reason.message} (${reason.code})`]),
    ...(error === null ? [] : [`again after ${error.code}`]),
  ];
}

/** @param {NonNullable<Job["waiting_for"]>} need @param {string} worker */
function lackText(need, worker) {
  return need.served === false ? unservedText(worker) : `needs ${needOf(need)}; no container offers it`;
}

/** @param {NonNullable<Job["waiting_for"]>} need */
function needOf({ type, model }) {
  return model === null ? `job type ${type} and its model` : `model ${model}`;
}
