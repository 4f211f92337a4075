// @ts-check
import { element } from "./dom.js";
import { title } from "./words.js";

/* The pictures and videos that a job names, shown where they can be: uploaded here, in the app's storage, or in the job itself. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./file-field.js").Files} Files */
/** @typedef {{ url: string, isVideo: boolean }} Found */

/**
 * Where a named file can be seen from this page, whose policy lets in no other sites; null when it cannot, or is gone.
 *
 * @param {string} address
 * @param {Files} files
 * @param {string} [userId]
 * @returns {Promise<Found | null>}
 */
export async function addressOf(address, files, userId) {
  if (/^data:image\//i.test(address)) return { url: address, isVideo: false };
  if (!/^input:[0-9a-f]{64}$/.test(address)) return null;
  const input = await files.find(address, userId);
  if (input === null || input.url === null || !/^(?:image|video)\//.test(input.mime_type)) return null;
  return { url: input.url, isVideo: input.mime_type.startsWith("video/") };
}

/** @param {Found} found @param {string} text */
export function pictureAt({ url, isVideo }, text) {
  if (isVideo) {
    const video = element("video");
    video.muted = true;
    video.preload = "metadata";
    video.src = url;
    video.ariaLabel = text;
    return video;
  }
  const image = element("img");
  image.alt = text;
  // One that is gone by now leaves no hole.
  image.addEventListener("error", () => image.remove());
  image.src = url;
  return image;
}

/** Fields in which a job may name what it begins with. */
const isReferenceField = (/** @type {string} */ name) => /(?:_url|^image|^mask)$/.test(name);

export class References {
  #place;
  #files;
  /** What is shown: made anew only when it changes. */
  #shown = "";

  /** @param {HTMLElement} place @param {Files} files */
  constructor(place, files) {
    this.#place = place;
    this.#files = files;
  }

  /** @param {Job} job */
  show(job) {
    const named = [
      ...Object.entries(job.metadata),
      ...Object.entries(job.config),
      ...Object.entries(job.fields),
    ].flatMap(([name, value]) =>
      isReferenceField(name) && typeof value === "string" && value !== "" ? [{ name, value }] : [],
    );
    const shown = JSON.stringify([job.job_id, named]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#place.replaceChildren();
    this.#place.hidden = true;
    for (const { name, value } of named) void this.#add(name, value, job.user_id, shown);
  }

  /** @param {string} name @param {string} address @param {string} userId @param {string} shown */
  async #add(name, address, userId, shown) {
    const found = await addressOf(address, this.#files, userId);
    if (found === null || shown !== this.#shown) return;
    const figure = element("figure");
    const text = title(name.replace(/_url$/, ""));
    figure.append(pictureAt(found, text), element("figcaption", "small", text));
    this.#place.append(figure);
    this.#place.hidden = false;
  }
}
