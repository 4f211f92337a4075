// @ts-check
import { goTo, leave, placeAt } from "./address.js";
import { sameJob } from "./again.js";
import { Api, ApiError, pause } from "./api.js";
import { Chat } from "./chat.js";
import { Detail } from "./detail.js";
import { part, setText, showText } from "./dom.js";
import { Failures } from "./failures.js";
import { Feed } from "./feed.js";
import { Jobs } from "./jobs.js";
import { promptForKey } from "./key-dialog.js";
import { Machine } from "./machine.js";
import { Panel } from "./panel.js";
import { Submit } from "./submit.js";

/*
 * The console. It requests the lists now and then, sooner while jobs are in progress and not at all while nobody looks,
 * and follows what runs live. A list changes the page; the page keeps no truth of its own.
 */

/** @typedef {import("./jobs.js").Settled} Settled */

const busyMs = 2000;
const restMs = 6000;
const maxMs = 15_000;
const toastMs = 6000;
/** Two attempts each of two ways, and the waiting for others. */
const enhanceLimitMs = 600_000;

const api = new Api(() => promptForKey((key) => api.tryKey(key)));
const jobs = new Jobs(api);
const machine = new Machine(api);
const feed = new Feed(jobs, {
  open,
  cancel: (id) => attempt(jobs.cancel(id)),
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
  edit: (job) => submit.edit(sameJob(job)),
  cancel: (id) => jobs.cancel(id),
  retry,
  discard,
});
const chat = new Chat(api);
const list = new Panel("active", () => jobs.refresh());
const form = new Panel("form", offerTypes);
const failures = new Failures(api, { run: attempt, report: toast, done: reload });
const failed = new Panel("dead", readFailures);
let wake = new AbortController();
let areTypesKnown = false;

/** @param {Record<string, unknown>} job */
async function create(job) {
  const { queue_position: position, ignored } = await jobs.create(job);
  const unread = ignored.length === 0 ? "" : ` Nothing reads ${ignored.join(", ")}.`;
  toast(`${position > 1 ? `Queued as number ${position}.` : "Created."}${unread}`);
  wake.abort();
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
  detail.open(jobId);
}

/** Opens what the page's address names, and closes what it does not. */
function showPlace() {
  const place = placeAt(location.hash);
  if (place.kind === "chat") chat.open();
  else chat.close();
}

/** For what a click began: says why it did not work. @param {Promise<unknown>} action */
function attempt(action) {
  action.catch((error) => toast(error instanceof Error ? error.message : String(error)));
}

/** @param {string} text */
function toast(text) {
  const place = part(document, "toast", HTMLElement);
  setText(place, text);
  place.classList.add("on");
  window.clearTimeout(Number(place.dataset.timer));
  place.dataset.timer = String(window.setTimeout(() => place.classList.remove("on"), toastMs));
}

function render() {
  feed.render();
  feed.renderMore(machine.queues.reduce((sum, { queued, delayed, running }) => sum + queued + delayed + running, 0));
  failures.render(jobs.shown === "failed");
  const failed = machine.queues.reduce((sum, queue) => sum + queue.failed, 0);
  showText(part(document, "failed-count", HTMLElement), failed === 0 ? "" : String(failed));
  part(document, "forget-key", HTMLButtonElement).hidden = !api.hasKey;
}

/** @returns {Promise<unknown[]>} why parts of the page could not be loaded; the others were */
async function refresh() {
  const [types, machines, lists, groups] = await Promise.all([
    form.refresh(),
    machine.refresh(),
    list.refresh(),
    failed.refresh(),
  ]);
  render();
  return [types, ...machines, lists, groups].filter((error) => error !== null);
}

/** Not while nobody sees them: a queue that is paid by the call is read for them. */
async function readFailures() {
  if (jobs.shown === "failed") await failures.refresh();
}

async function offerTypes() {
  if (areTypesKnown) return;
  submit.offer(await api.get("/worker/info"));
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
    let waitMs = jobs.active.length > 0 ? busyMs : restMs;
    try {
      const errors = await refresh();
      if (machine.silence !== null) throw machine.silence;
      notice.hidden = true;
      troubles = errors.length === 0 ? 0 : troubles + 1;
      waitMs = troubles > 0 ? Math.min(1000 * 2 ** troubles, maxMs) : jobs.active.length > 0 ? busyMs : restMs;
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

jobs.addEventListener("change", render);
jobs.addEventListener("settled", (event) => {
  if (event instanceof CustomEvent) toast(ends[/** @type {Settled} */ (event.detail.status)]);
  wake.abort();
});
const ends = { completed: "Finished.", failed: "A job has failed: see “Failed”.", cancelled: "Cancelled." };

for (const choice of document.querySelectorAll('input[name="shown"]')) {
  choice.addEventListener("change", () => {
    if (!(choice instanceof HTMLInputElement)) return;
    attempt(jobs.show(/** @type {Settled} */ (choice.value)));
    attempt(failed.refresh().then(render));
  });
}
part(document, "more", HTMLButtonElement).addEventListener("click", () => attempt(jobs.showOlder()));
part(document, "chat-open", HTMLButtonElement).addEventListener("click", () => goTo({ kind: "chat" }));
chat.onClose(() => leave("chat"));
window.addEventListener("hashchange", showPlace);
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
showPlace();
void watch();
