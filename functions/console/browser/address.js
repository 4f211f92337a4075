// @ts-check

/* What of the page has an address of its own, so that it can be linked to and a reload shows it again: `#/chat`, `#/jobs/<id>`. */

/** @typedef {{ kind: "page" } | { kind: "chat" } | { kind: "job", id: string }} Place */

/** @param {string} hash of the page's address @returns {Place} */
export function placeAt(hash) {
  if (hash === "#/chat") return { kind: "chat" };
  const id = /^#\/jobs\/([^/]+)$/.exec(hash)?.[1];
  if (id === undefined) return { kind: "page" };
  try {
    return { kind: "job", id: decodeURIComponent(id) };
  } catch {
    return { kind: "page" };
  }
}

/** The address of a place, for others. @param {Exclude<Place, { kind: "page" }>} place @returns {string} */
export function addressOf(place) {
  return new URL(hashOf(place), location.href).href;
}

/** The place is shown by whoever listens to the window's `hashchange`. @param {Exclude<Place, { kind: "page" }>} place */
export function goTo(place) {
  const hash = hashOf(place);
  if (location.hash === hash) window.dispatchEvent(new Event("hashchange"));
  else location.hash = hash;
}

/** What was opened has been closed: the address is the page's again. @param {Place["kind"]} kind */
export function leave(kind) {
  if (placeAt(location.hash).kind === kind) history.replaceState(null, "", location.pathname + location.search);
}

/** @param {Exclude<Place, { kind: "page" }>} place */
function hashOf(place) {
  return place.kind === "chat" ? "#/chat" : `#/jobs/${encodeURIComponent(place.id)}`;
}
