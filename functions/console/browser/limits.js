// @ts-check
import { copyOf, part, reconcile, setText } from "./dom.js";
import { clock, counted, time } from "./words.js";

/* What cannot run in this container: what is broken is an alarm, a model that was never here is a line to open. */

/** @typedef {import("zod").z.output<typeof import("../../api/schemas/worker-views.ts").conditionView>} Condition */

/** @type {Record<Condition["kind"], string>} */
const kinds = { type: "Jobs of the type", model: "Jobs with the model", worker: "Jobs of the worker" };

/** What is being tried again is left out. @param {Condition[]} conditions */
export function renderLimits(conditions) {
  const active = conditions.filter(({ state }) => state === "active");
  renderBroken(active.filter(({ absent }) => !absent));
  renderAbsent(active.filter(({ absent }) => absent));
}

/** @param {Condition[]} broken */
function renderBroken(broken) {
  part(document, "limits", HTMLElement).hidden = broken.length === 0;
  reconcile(part(document, "limit-list", HTMLUListElement), broken, {
    key,
    make: () => copyOf("limit"),
    update: (item, { kind, subject, message, since, next_look: next }) => {
      const again = next === null ? "" : `, tried again at ${clock(next)}`;
      setText(part(item, "name", HTMLElement), `${kinds[kind]} ${subject}`);
      setText(part(item, "since", HTMLElement), `since ${time(since)}${again}`);
      setText(part(item, "text", HTMLElement), message);
    },
  });
}

/** @param {Condition[]} absent */
function renderAbsent(absent) {
  part(document, "absent", HTMLDetailsElement).hidden = absent.length === 0;
  const one = absent.length === 1;
  const names = absent.map(({ subject }) => subject).join(", ");
  setText(
    part(document, "absent-title", HTMLElement),
    `${counted(absent.length, "model")} ${one ? "is" : "are"} not here: ${names}. ${one ? "Its" : "Their"} jobs are left to other containers.`,
  );
  reconcile(part(document, "absent-list", HTMLUListElement), absent, {
    key,
    make: () => copyOf("limit"),
    update: (item, { subject, message }) => {
      setText(part(item, "name", HTMLElement), subject);
      setText(part(item, "text", HTMLElement), message);
    },
  });
}

/** @param {Condition} condition */
function key({ worker, kind, subject }) {
  return `${worker} ${kind} ${subject}`;
}
