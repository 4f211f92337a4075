// @ts-check

/* What of the page has an address of its own, so that it can be linked to and a reload shows it again: `#/chat`. */

/** @typedef {{ kind: "page" } | { kind: "chat" }} Place */

/** @param {string} hash of the page's address @returns {Place} */
export function placeAt(hash) {
  return hash === "#/chat" ? { kind: "chat" } : { kind: "page" };
}

/** The place is shown by whoever listens to the window's `hashchange`. @param {Exclude<Place, { kind: "page" }>} place */
export function goTo(place) {
  const hash = `#/${place.kind}`;
  if (location.hash === hash) window.dispatchEvent(new Event("hashchange"));
  else location.hash = hash;
}

/** What was opened has been closed: the address is the page's again. @param {Place["kind"]} kind */
export function leave(kind) {
  if (placeAt(location.hash).kind === kind) history.replaceState(null, "", location.pathname + location.search);
}
