// @ts-check
import { copyOf, part, reconcile, setText, showText } from "./dom.js";
import { counted, time } from "./words.js";

/* Users whose jobs of a type let others' go first: whose, since when, until when and why. */

/** @typedef {import("zod").z.output<typeof import("../../api/schemas/worker-views.ts").quarantineView>} Quarantined */

const shownRows = 5;
/** Of a user's id, which is mostly a UUID: enough to know one from another. */
const idLength = 8;

/** @param {readonly Quarantined[]} all */
export function renderQuarantine(all) {
  part(document, "quarantine", HTMLElement).hidden = all.length === 0;
  // Those that failed last come last.
  const shown = all.toReversed().slice(0, shownRows);
  reconcile(part(document, "quarantine-list", HTMLUListElement), shown, {
    key: ({ user_id, type }) => `${user_id} ${type}`,
    make: () => copyOf("limit"),
    update: (item, { user_id: user, type, failures, code, message, since, until }) => {
      const name = part(item, "name", HTMLElement);
      setText(name, `${type} of ${user.length > idLength + 4 ? `${user.slice(0, idLength)}…` : user}`);
      name.title = user;
      const next = until === null ? "the next one is tried" : `the next one is tried at ${time(until)}`;
      setText(part(item, "since", HTMLElement), `since ${time(since)}, ${next}`);
      setText(part(item, "text", HTMLElement), `${code} · ${counted(failures, "time")} · ${message}`);
    },
  });
  const more = all.length - shown.length;
  showText(part(document, "quarantine-more", HTMLElement), more > 0 ? `and ${more} more` : "");
}
