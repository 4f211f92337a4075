// @ts-check
import { copyOf, element, part } from "./dom.js";
import { between, clock, duration, shown, size, title } from "./words.js";

/* What is known of a job, in groups of names and values. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {[name: string, value: string][]} Facts */

/** Shown elsewhere on the page, or of no use to people. */
const shownElsewhere = new Set([
  "prompt",
  "original_prompt",
  "final_prompt",
  "progress",
  "ignored",
  "ignored_more",
  "worker_id",
  "job_type",
  "content_type",
  "parameters",
  "parameter_tiers",
  "performance_ratio",
]);
const firstParameters = ["seed", "width", "height", "num_inference_steps", "guidance_scale", "scheduler", "model"];

/**
 * @param {Job} job
 * @param {number} index of the asset that is looked at
 * @returns {[title: string, facts: Facts][]}
 */
export function factsOf(job, index) {
  const asset = job.assets[index];
  const used = { ...job.config, ...(job.result_metadata ?? {}), ...(asset?.metadata ?? {}) };
  const known = Object.entries(used).filter(([name, value]) => !shownElsewhere.has(name) && isWorthShowing(value));
  const rankOf = (/** @type {string} */ name) => {
    const place = firstParameters.indexOf(name);
    return place === -1 ? firstParameters.length : place;
  };
  const parameters = known.filter(([name]) => !isTime(name)).sort(([one], [other]) => rankOf(one) - rankOf(other));
  /** @type {Facts} */
  const texts = parameters.map(([name, value]) => [title(name.replace(/^num_/, "")), shown(value)]);
  return [
    ["Parameters", [...fieldsOf(job), ...texts]],
    [
      "Timings",
      timings(
        job,
        known.filter(([name]) => isTime(name)),
      ),
    ],
    ["Attempts", attempts(job)],
    ["Job", about(job, asset)],
  ];
}

/**
 * @param {HTMLElement} place
 * @param {[title: string, facts: Facts][]} groups
 */
export function showFacts(place, groups) {
  const made = groups
    .filter(([, facts]) => facts.length > 0)
    .map(([name, facts]) => {
      const group = copyOf("group");
      part(group, "title", HTMLElement).textContent = name;
      const items = facts.flatMap(([term, value]) => [element("dt", "", term), shownValue(value)]);
      part(group, "list", HTMLElement).append(...items);
      return group;
    });
  // Made anew at each event of a running job: only when something differs, so that a selection stays.
  const before = [...place.children].map(({ textContent }) => textContent).join();
  if (made.map(({ textContent }) => textContent).join() === before) return;
  place.replaceChildren(...made);
}

const maxShown = 240;

/** A long one is opened by who wants it. @param {string} value */
function shownValue(value) {
  if (value.length <= maxShown) return element("dd", "", value);
  const whole = element("details", "long");
  whole.append(element("summary", "", `${value.slice(0, maxShown)}…`), document.createTextNode(value));
  const item = element("dd");
  item.append(whole);
  return item;
}

/** @param {Job} job @returns {Facts} */
function fieldsOf({ fields }) {
  const known = Object.entries(fields).filter(([, value]) => isWorthShowing(value));
  return known.map(([name, value]) => [title(name), shown(value)]);
}

/**
 * @param {Job} job
 * @param {[string, unknown][]} times
 * @returns {Facts}
 */
function timings({ created_at, started_at, settled_at }, times) {
  /** @type {Facts} */
  const facts = [["Created", clock(created_at)]];
  if (started_at !== null) facts.push(["Waited", between(created_at, started_at)]);
  if (started_at !== null && settled_at !== null) facts.push(["Ran", between(started_at, settled_at)]);
  for (const [name, value] of times) {
    if (typeof value === "number" && !["queue_time", "expected_time"].includes(name))
      facts.push([title(name), duration(value)]);
  }
  return facts;
}

/** @param {Job} job @returns {Facts} */
function attempts({ attempts: all }) {
  if (all.length < 2 && all[0]?.error == null) return [];
  return all.map(({ attempt, outcome, error, started_at, ended_at }) => {
    const took = ended_at === null ? "" : ` after ${between(started_at, ended_at)}`;
    return [`${attempt}`, `${outcome}${took}${error === null ? "" : `: ${error.message}`}`];
  });
}

/**
 * @param {Job} job
 * @param {Job["assets"][number] | undefined} asset
 * @returns {Facts}
 */
function about({ job_id, type, worker, user_id, priority, attempts: all }, asset) {
  /** @type {Facts} */
  const facts = [
    ["Id", job_id],
    ["Type", type],
    ["Worker", worker],
    ["User", user_id],
  ];
  if (priority !== 0) facts.push(["Priority", String(priority)]);
  const container = all.at(-1)?.worker_id;
  if (container !== undefined) facts.push(["Container", container]);
  if (asset !== undefined) {
    facts.push(["File", asset.path]);
    if (asset.size_bytes !== undefined) facts.push(["Size", size(asset.size_bytes)]);
  }
  return facts;
}

/** @param {string} name */
function isTime(name) {
  return /_(time|seconds)$/.test(name);
}

/** @param {unknown} value */
function isWorthShowing(value) {
  return value !== null && value !== undefined && value !== "";
}
