// @ts-check

/* Numbers and moments as people read them. */

/** @param {number} seconds @returns {string} `0.8 s`, `42 s`, `3 min 5 s`, `2 h 4 min`, `3 d 1 h` */
export function duration(seconds) {
  if (seconds < 0.05) return "0 s";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return twoUnits(whole, 60, "min", 1, "s");
  if (whole < 86_400) return twoUnits(whole, 3600, "h", 60, "min");
  return twoUnits(whole, 86_400, "d", 3600, "h");
}

/**
 * @param {number} seconds
 * @param {number} large
 * @param {string} largeName
 * @param {number} small
 * @param {string} smallName
 */
function twoUnits(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest === 0 ? "" : ` ${rest} ${smallName}`}`;
}

/**
 * A total of 100 is a scale over stages of different kinds, as videos have them, and no number of steps.
 * @param {number} step
 * @param {number} total
 */
export function stepText(step, total) {
  return total === 100 ? `${Math.floor(step)} %` : `step ${step} of ${total}`;
}

/** @param {string} moment in ISO form @returns {string} `just now`, `5 min ago` */
export function ago(moment) {
  const seconds = (Date.now() - Date.parse(moment)) / 1000;
  if (!Number.isFinite(seconds) || seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(moment).toLocaleDateString();
}

/** @param {string} moment */
export function clock(moment) {
  return new Date(moment).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** The time of day of a moment of today, else with the date. @param {string} moment */
export function time(moment) {
  const isToday = new Date(moment).toDateString() === new Date().toDateString();
  return isToday ? new Date(moment).toLocaleTimeString() : clock(moment);
}

/** @param {string} from @param {string} to @returns {string} */
export function between(from, to) {
  return duration(Math.max(0, Date.parse(to) - Date.parse(from)) / 1000);
}

/** @param {number} count @param {string} singular @param {string} [plural] */
export function counted(count, singular, plural = `${singular}s`) {
  return `${count.toLocaleString("en-US")} ${count === 1 ? singular : plural}`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(0)} KB`;
  if (bytes < 1_000_000_000) return `${(bytes / 1_000_000).toFixed(bytes < 10_000_000 ? 1 : 0)} MB`;
  return `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}

/** @param {string} name @returns {string} `num_inference_steps` as `Num inference steps` */
export function title(name) {
  const words = name.replaceAll(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {unknown} value */
export function shown(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What to do where no container runs the worker at all. @param {string} worker */
export function unservedText(worker) {
  const endpoint = /^runpod_(.+)$/.exec(worker)?.[1];
  if (endpoint) return `no container has asked the endpoint ${endpoint} for jobs: docs/26-runpod.md says how one does`;
  return `no container serves the worker ${worker}: start one with WORKERS=${worker}`;
}
