// @ts-check
import { part, showText } from "./dom.js";

/* Asks for the key, until the container knows it or the reader closes the dialog. */

/**
 * @param {(key: string) => Promise<boolean>} tryKey whether the container knows the key
 * @returns {Promise<boolean>} false when the dialog was closed without a good key
 */
export function promptForKey(tryKey) {
  const dialog = part(document, "key-dialog", HTMLDialogElement);
  const form = part(document, "key-form", HTMLFormElement);
  const input = part(document, "key-input", HTMLInputElement);
  const problem = part(document, "key-problem", HTMLElement);
  const button = part(document, "key-submit", HTMLButtonElement);
  const over = new AbortController();
  let isGood = false;

  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    const refusal = await refusalOf(input.value.trim(), tryKey);
    button.disabled = false;
    isGood = refusal === "";
    if (isGood) dialog.close();
    showText(problem, refusal);
    input.setAttribute("aria-invalid", String(!isGood));
    input.select();
  };

  return new Promise((resolve) => {
    form.addEventListener("submit", submit, { signal: over.signal });
    dialog.addEventListener(
      "close",
      () => {
        over.abort();
        input.value = "";
        showText(problem, "");
        resolve(isGood);
      },
      { signal: over.signal },
    );
    dialog.showModal();
    input.focus();
  });
}

/** @param {string} key @param {(key: string) => Promise<boolean>} tryKey */
async function refusalOf(key, tryKey) {
  // A header can hold nothing else, and no key of a container does.
  if (!/^[!-~]+$/.test(key)) return "A key has no spaces, and only plain letters, digits and signs.";
  try {
    return (await tryKey(key)) ? "" : "The container does not know this key.";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
