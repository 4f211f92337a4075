// @ts-check
import { ActiveFeed } from "./active-feed.js";
import { addressOf, goTo, leave, placeAt } from "./address.js";
import { sameJob } from "./again.js";
import { Api, ApiError, pause } from "./api.js";
import { Chat } from "./chat.js";
import { Detail } from "./detail.js";
import { part, setText, showText } from "./dom.js";
import { Failures } from "./failures.js";
import { Filters } from "./filters.js";
import { nameOf } from "./job-text.js";
import { Jobs } from "./jobs.js";
import { promptForKey } from "./key-dialog.js";
import { Machine } from "./machine.js";
import { Panel } from "./panel.js";
import { ResultsFeed } from "./results-feed.js";
import { Submit } from "./submit.js";

/*
 * The console. It requests the lists now and then, sooner while jobs are in progress and not at all while nobody looks,
 * and follows what runs live. A list changes the page; the page keeps no truth of its own.
 */

/** @typedef {import("./results.js").Settled} Settled */

const busyMs = 2000;
const restMs = 6000;
const maxMs = 15_000;
const toastMs = 6000;
const maxToast = 300;
/** Two attempts each of two ways, and the waiting for others. */
const enhanceLimitMs = 600_000;

const api = new Api(() => promptForKey((key) => api.tryKey(key)));
const machine = new Machine(api, attempt);
const jobs = new Jobs(api, () => machine.queues.filter(({ queued }) => queued > 0));
const activeFeed = new ActiveFeed(jobs, { open, cancel: (id) => attempt(cancel(id)) });
const resultsFeed = new ResultsFeed(jobs, {
  open,
  retry: (id) => attempt(retry(id)),
  discard: (id) => attempt(discard(id)),
});
const files = {
  upload: (/** @type {File} */ file, /** @type {string | undefined} */ userId) => api.upload(file, userId),
  find: (/** @type {string} */ address, /** @type {string | undefined} */ userId) => api.findInput(address, userId),
};
const calls = {
  readPrompt: (/** @type {Record<string, unknown>} */ prompt) => api.call("POST", "/test-compel", prompt),
  enhance: (/** @type {object} */ body, /** @type {AbortSignal} */ signal) =>
    api.call("POST", "/enhance", body, { signal, limitMs: enhanceLimitMs }),
};
const submit = new Submit(create, calls, files);
const detail = new Detail(jobs, files, {
  again: (job, seed, alone) => create(sameJob(job, { seed, alone })),
  edit: (job) => {
    showForm(true);
    submit.edit(sameJob(job));
  },
  cancel,
  retry,
  discard,
  report: toast,
  linkTo: (id) => addressOf({ kind: "job", id }),
  readLog: (id, number) => api.get(`/jobs/${encodeURIComponent(id)}/attempts/${number}/log`),
});
const filters = new Filters((filter) => attempt(jobs.show({ filter })));
const chat = new Chat(api);
const list = new Panel("active", () => jobs.refresh());
const form = new Panel("form", offerTypes);
const failures = new Failures(api, { run: attempt, report: toast, done: reload });
const failed = new Panel("dead", readFailures);
let wake = new AbortController();
let areTypesKnown = false;
let isRenderDue = false;

/** @param {Record<string, unknown>} job */
async function create(job) {
  const { job_id: id, queue_position: position, ignored } = await jobs.create(job);
  const unread = ignored.length === 0 ? "" : ` Nothing reads ${ignored.join(", ")}.`;
  const created = jobs.find(id);
  const name = created === undefined ? "The job" : nameOf(created);
  toast(`${name} ${position > 1 ? `is queued as number ${position}.` : "is created."}${unread}`);
  // Where the form is above the jobs it is closed, and the new one brought into sight, once the page has settled without it.
  if (showForm(false)) requestAnimationFrame(() => requestAnimationFrame(() => activeFeed.reveal(id)));
  wake.abort();
}

/** @param {string} jobId */
async function cancel(jobId) {
  const job = jobs.find(jobId);
  await jobs.cancel(jobId);
  // Of one that runs the end is heard.
  if (job?.status === "queued") toast(`${nameOf(job)} is cancelled.`);
}

/** @param {string} jobId */
async function retry(jobId) {
  await jobs.retry(jobId);
  toast("Back on its queue.");
  wake.abort();
}

/** @param {string} jobId */
async function discard(jobId) {
  await jobs.discard(jobId);
  toast("Discarded.");
  wake.abort();
}

/** After many jobs were changed. */
function reload() {
  attempt(jobs.reload());
  wake.abort();
}

/** @param {string} jobId */
function open(jobId) {
  goTo({ kind: "job", id: jobId });
}

/** Opens what the page's address names, and closes what it does not. */
async function showPlace() {
  const place = placeAt(location.hash);
  if (place.kind === "chat") chat.open();
  else chat.close();
  if (place.kind !== "job") return detail.close();
  try {
    await jobs.open(place.id);
  } catch (error) {
    detail.close();
    leave("job");
    throw error;
  }
  // Somebody may have gone on meanwhile.
  const now = placeAt(location.hash);
  if (now.kind === "job" && now.id === place.id) detail.open(place.id);
}

/**
 * Where there is no room beside the jobs, the form is shown on demand.
 * @param {boolean} isOpen
 * @returns {boolean} whether it was hidden or shown by that
 */
function showForm(isOpen) {
  const button = part(document, "new-job-open", HTMLButtonElement);
  if (button.checkVisibility() === false) return false;
  const form = part(document, "new-job", HTMLElement);
  form.classList.toggle("open", isOpen);
  if (isOpen) form.scrollIntoView();
  button.ariaExpanded = String(isOpen);
  setText(button, isOpen ? "Hide the form" : "New job");
  return true;
}

/** For what a click began: says why it did not work. @param {Promise<unknown>} action */
function attempt(action) {
  action.catch((error) => toast(error instanceof Error ? error.message : String(error)));
}

/** @param {string} text */
function toast(text) {
  const place = part(document, "toast", HTMLElement);
  // Over an open dialog, which is above all else on the page.
  (document.querySelector("dialog[open]") ?? document.body).append(place);
  setText(place, text.length > maxToast ? `${text.slice(0, maxToast)}…` : text);
  place.classList.add("on");
  window.clearTimeout(Number(place.dataset.timer));
  place.dataset.timer = String(window.setTimeout(() => place.classList.remove("on"), toastMs));
}

function render() {
  isRenderDue = false;
  activeFeed.render(machine.queues.reduce((sum, { queued, delayed }) => sum + queued + delayed, 0));
  if (resultsFeed.render()) renderSoon();
  failures.render(jobs.results.shown === "failed");
  const failed = machine.queues.reduce((sum, queue) => sum + queue.failed, 0);
  showText(part(document, "failed-count", HTMLElement), failed === 0 ? "" : String(failed));
  part(document, "forget-key", HTMLButtonElement).hidden = !api.hasKey;
}

/** Once a frame: steps and previews of several jobs come faster than anybody sees them. */
function renderSoon() {
  if (isRenderDue) return;
  isRenderDue = true;
  requestAnimationFrame(render);
}

/** @returns {Promise<unknown[]>} why parts of the page could not be loaded; the others were */
async function refresh() {
  const machines = machine.refresh();
  // The queues say where jobs wait.
  const lists = machines.then(() => list.refresh());
  const [types, others, waiting, groups] = await Promise.all([form.refresh(), machines, lists, failed.refresh()]);
  submit.showOffers(machine.offers);
  render();
  return [types, ...others, waiting, groups].filter((error) => error !== null);
}

/** Not while nobody sees them: a queue that is paid by the call is read for them. */
async function readFailures() {
  if (jobs.results.shown === "failed") await failures.refresh();
}

async function offerTypes() {
  if (areTypesKnown) return;
  /** @type {Parameters<Submit["offer"]>[0]} */
  const info = await api.get("/worker/info");
  // Two may have asked: the second answer would take away what was chosen since the first.
  if (areTypesKnown) return;
  submit.offer(info);
  filters.offer(info.job_types.map(({ type }) => type));
  areTypesKnown = true;
}

/** @param {unknown} error */
function showTrouble(error) {
  const needsKey = error instanceof ApiError && error.status === 401;
  const reason = error instanceof Error ? error.message : String(error);
  setText(
    part(document, "notice-text", HTMLElement),
    needsKey ? "The console needs a key to show anything." : `${reason} Trying again.`,
  );
  setText(part(document, "notice-action", HTMLButtonElement), needsKey ? "Enter the key" : "Try now");
  machine.showSilence(needsKey ? "Locked" : "No answer");
  return needsKey;
}

/** @returns {Promise<void>} at once when somebody looks */
function untilSeen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", () => resolve(), { once: true });
  });
}

async function watch() {
  const notice = part(document, "notice", HTMLElement);
  for (let troubles = 0; ; ) {
    await untilSeen();
    wake = new AbortController();
    let waitMs = busyMs;
    try {
      const errors = await refresh();
      if (machine.silence !== null) throw machine.silence;
      notice.hidden = true;
      troubles = errors.length === 0 ? 0 : troubles + 1;
      const isBusy = jobs.running.length + jobs.waiting.length > 0;
      waitMs = troubles > 0 ? Math.min(1000 * 2 ** troubles, maxMs) : isBusy ? busyMs : restMs;
    } catch (error) {
      const needsKey = showTrouble(error);
      notice.hidden = false;
      troubles++;
      // Without a key nothing changes by asking again.
      waitMs = needsKey ? 2 ** 31 - 1 : Math.min(1000 * 2 ** troubles, maxMs);
    }
    document.body.dataset.ready = String(notice.hidden);
    await pause(waitMs, wake.signal);
  }
}

jobs.addEventListener("change", renderSoon);
jobs.addEventListener("settled", (event) => {
  if (event instanceof CustomEvent) {
    const job = /** @type {import("./api.js").Job & { status: Settled }} */ (event.detail);
    toast(`${nameOf(job)} ${ends[job.status]}`);
  }
  wake.abort();
});
const ends = { completed: "is finished.", failed: "has failed: see “Failed”.", cancelled: "is cancelled." };

for (const choice of document.querySelectorAll('input[name="shown"]')) {
  choice.addEventListener("change", () => {
    if (!(choice instanceof HTMLInputElement)) return;
    attempt(jobs.show({ shown: /** @type {Settled} */ (choice.value) }));
    attempt(failed.refresh().then(render));
  });
}
part(document, "more", HTMLButtonElement).addEventListener("click", () => attempt(jobs.showOlder()));
part(document, "chat-open", HTMLButtonElement).addEventListener("click", () => goTo({ kind: "chat" }));
chat.onClose(() => leave("chat"));
detail.onClose(() => leave("job"));
window.addEventListener("hashchange", () => attempt(showPlace()));
part(document, "new-job-open", HTMLButtonElement).addEventListener("click", ({ currentTarget }) => {
  if (currentTarget instanceof HTMLButtonElement) showForm(currentTarget.ariaExpanded !== "true");
});
part(document, "pause", HTMLButtonElement).addEventListener("click", () => attempt(machine.togglePause()));
part(document, "outbox-try", HTMLButtonElement).addEventListener("click", () => attempt(machine.tryOutbox()));
part(document, "notice-action", HTMLButtonElement).addEventListener("click", () => wake.abort());
part(document, "forget-key", HTMLButtonElement).addEventListener("click", () => {
  api.forgetKey();
  chat.forget();
  window.location.reload();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) jobs.rest();
  else wake.abort();
});
attempt(showPlace());
void watch();
