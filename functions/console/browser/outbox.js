// @ts-check
import { copyOf, onSureClick, part, reconcile, setText, showText } from "./dom.js";
import { ago, counted, duration } from "./words.js";

/*
 * Results that have not reached the app: what keeps them, when the next try is, a button for whoever has mended it, and one for
 * the end of a job that nobody will ever take.
 */

/** @typedef {import("../../api/outbox-list.ts").OutboxView} Outbox */
/** @typedef {NonNullable<import("./api.js").Job["delivery"]>} Delivery */

const shownRows = 5;

/** @param {Outbox} outbox @param {(jobId: string) => void} giveUp */
export function renderOutbox({ waiting, alarms, rows }, giveUp) {
  // What is on its way is no news: what has failed, or waits for what failed, is.
  const stuck = rows.filter(({ error, tries }) => error !== null || tries > 0);
  part(document, "outbox", HTMLElement).hidden = stuck.length === 0 && alarms.length === 0;
  setText(part(document, "outbox-count", HTMLElement), counted(waiting, "result"));
  reconcile(part(document, "outbox-alarms", HTMLUListElement), alarms, {
    key: ({ code, step }) => `${code} ${step}`,
    make: () => copyOf("limit"),
    update: (item, { code, message, since, jobs, step }) => {
      setText(part(item, "name", HTMLElement), `The ${receiverOf(step)}: ${code}`);
      setText(part(item, "since", HTMLElement), `${counted(jobs, "job")}, ${ago(since)}`);
      setText(part(item, "text", HTMLElement), message);
    },
  });
  reconcile(part(document, "outbox-rows", HTMLUListElement), stuck.slice(0, shownRows), {
    key: ({ job_id }) => job_id,
    make: ({ job_id: id }) => {
      const item = copyOf("undelivered");
      const button = part(item, "give-up", HTMLButtonElement);
      onSureClick(
        button,
        () => "Never report it?",
        () => giveUp(id),
      );
      return item;
    },
    update: (item, row) => {
      item.dataset.state = "failed";
      // Without its files a job has no end.
      part(item, "give-up", HTMLButtonElement).hidden = row.step === "files";
      setText(part(item, "name", HTMLElement), `${row.type} ${row.job_id}`);
      setText(part(item, "state", HTMLElement), deliveryText(row));
      setText(part(item, "text", HTMLElement), `${row.becomes} ${ago(row.since)}`);
    },
  });
  const more = waiting - Math.min(stuck.length, shownRows);
  showText(part(document, "outbox-more", HTMLElement), more > 0 ? `and ${counted(more, "more result")}` : "");
}

/** @param {Delivery} delivery @returns {string} `CALLBACK_REFUSED · 3 tries · next in 40 s` */
export function deliveryText({ step, tries, error, next_try_at: next }) {
  const waitsMs = next === null ? 0 : Date.parse(next) - Date.now();
  return [
    error === null ? `waits for the ${receiverOf(step)}` : error.code,
    ...(tries > 0 ? [counted(tries, "try", "tries")] : []),
    ...(waitsMs > 0 ? [`next in ${duration(waitsMs / 1000)}`] : []),
  ].join(" · ");
}

/** Who takes it next. @param {string} step */
function receiverOf(step) {
  if (step === "files") return "storage";
  if (step === "read") return "outbox";
  return step === "webhook" ? "webhook" : "app";
}
