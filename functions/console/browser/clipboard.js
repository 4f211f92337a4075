// @ts-check

/* Texts and files that leave the page. */

/** @param {string} text @returns {Promise<void>} @throws Error where the browser keeps its clipboard shut */
export async function copyText(text) {
  // Pages have it at safe addresses only: at others, what is selected is copied.
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  const place = document.querySelector("dialog[open]") ?? document.body;
  place.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (!isCopied) throw new Error("This browser does not let the page copy: select the text instead.");
}

/**
 * Saves a file under a name. One of another site is fetched first: browsers would open it instead.
 *
 * @param {string} address
 * @param {string} name
 * @throws Error when it cannot be had
 */
export async function download(address, name) {
  const isOwn = new URL(address, location.href).origin === location.origin;
  if (isOwn) return save(address, name);
  const response = await fetch(address);
  if (!response.ok) throw new Error("The file cannot be read: it is gone, or its address has expired.");
  const url = URL.createObjectURL(await response.blob());
  save(url, name);
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** @param {string} address @param {string} name */
function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}
