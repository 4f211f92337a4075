// @ts-check
import { element } from "./dom.js";
import { title } from "./words.js";

/* The pictures and videos that a job names, shown where they can be: uploaded here, in the app's storage, or in the job itself. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./file-field.js").Files} Files */
/** @typedef {{ url: string, isVideo: boolean }} Found */

const isUploaded = (/** @type {string} */ text) => /^input:[0-9a-f]{64}$/.test(text);
const isAddress = (/** @type {string} */ text) => isUploaded(text) || /^data:image\//i.test(text);

/**
 * Where a named file can be seen from this page, whose policy lets in no other sites; null when it cannot, or is gone.
 *
 * @param {string} address
 * @param {Files} files
 * @param {string} [userId]
 * @returns {Promise<Found | null>}
 */
export async function addressOf(address, files, userId) {
  if (!isAddress(address)) return null;
  if (!isUploaded(address)) return { url: address, isVideo: false };
  const input = await files.find(address, userId);
  if (input === null || input.url === null || !/^(?:image|video)\//.test(input.mime_type)) return null;
  return { url: input.url, isVideo: input.mime_type.startsWith("video/") };
}

/** Each file that a job names and that may be seen from here, with the field that names it. @param {Job} job */
function filesOf({ config, metadata, fields }) {
  return [config, metadata, fields]
    .flatMap(Object.entries)
    .flatMap(([name, value]) =>
      [value].flat().flatMap((each) => (typeof each === "string" && isAddress(each) ? [{ name, address: each }] : [])),
    );
}

/** What the pictures were to the result, as its handler reports it. @param {Job} job */
function wayOf({ result_metadata: result }) {
  const { reference_mode: mode, reference_path: path } = result ?? {};
  if (typeof mode !== "string" || mode === "none") return "";
  return `Mode: ${mode}${typeof path === "string" ? ` · path: ${path}` : ""}`;
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
    const named = filesOf(job);
    const way = wayOf(job);
    const shown = JSON.stringify([job.job_id, named, way]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#place.replaceChildren(...(way === "" ? [] : [element("p", "small", way)]));
    this.#place.hidden = way === "";
    for (const { name, address } of named) void this.#add(name, address, job.user_id, shown);
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
