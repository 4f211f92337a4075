// @ts-check
import { element, part, setText } from "./dom.js";
import { counted } from "./words.js";

/* What a job made, as elements: pictures, videos that play by themselves without sound, texts. */

/** @typedef {import("./api.js").Job} Job */
/** @typedef {Job["assets"][number]} Asset */

const wantsLessMotion = matchMedia("(prefers-reduced-motion: reduce)");
const canPoint = matchMedia("(hover: hover)");

/** In full size, for the job's own page. @param {Asset} asset @param {Job} job */
export function mediaOf(asset, job) {
  if (asset.url === null) return element("p", "no-media", "The storage has no address for this file.");
  if (asset.type === "video") return videoOf(asset, asset.url, job);
  if (asset.type === "text") return textOf(asset.url);
  const image = element("img");
  image.src = asset.url;
  image.alt = job.prompt ?? "";
  return image;
}

/** @param {Asset} asset @param {string} address @param {Job} job */
function videoOf(asset, address, job) {
  const video = element("video");
  video.controls = true;
  video.autoplay = !wantsLessMotion.matches;
  silentLoop(video);
  video.ariaLabel = job.prompt ?? "";
  const { width, height } = asset.metadata ?? {};
  // The frame has its place before the file is there.
  if (typeof width === "number" && typeof height === "number") [video.width, video.height] = [width, height];
  if (asset.thumbnail_url !== null) video.poster = asset.thumbnail_url;
  const unplayable = "This browser cannot play the file, or it is gone: open it instead.";
  video.addEventListener("error", () => video.replaceWith(element("p", "no-media", unplayable)));
  video.src = address;
  return video;
}

/** Browsers let only what is silent begin by itself. @param {HTMLVideoElement} video */
function silentLoop(video) {
  video.muted = true;
  video.loop = true;
  video.playsInline = true;
}

/**
 * Plays a tile's clip in its place while the tile is pointed at or has the focus; where nothing can be pointed at, while it
 * is seen. The file is not loaded before.
 *
 * @param {HTMLElement} tile
 * @param {string} address
 */
export function playInTile(tile, address) {
  const clip = part(tile, "clip", HTMLVideoElement);
  const button = part(tile, "open", HTMLButtonElement);
  silentLoop(clip);
  const play = () => {
    if (wantsLessMotion.matches) return;
    if (clip.src === "") clip.src = address;
    // Refused where the browser saves power, or interrupted by stop: the picture stays.
    clip.play().catch(() => undefined);
  };
  const stop = () => {
    clip.pause();
    clip.hidden = true;
  };
  clip.addEventListener("playing", () => {
    clip.hidden = false;
  });
  clip.addEventListener("error", stop);
  if (canPoint.matches) {
    button.addEventListener("pointerenter", play);
    button.addEventListener("pointerleave", stop);
  } else whileSeen(tile, play, stop);
  button.addEventListener("focus", play);
  button.addEventListener("blur", stop);
}

/** How much of a clip is looked at for its picture: the very first frame of many is black. */
const posterSeconds = 0.1;

/**
 * Shows a frame of a clip that came without a picture, once its tile is seen.
 * @param {HTMLElement} tile
 * @param {string} address
 */
export function posterInTile(tile, address) {
  const poster = part(tile, "poster", HTMLVideoElement);
  poster.muted = true;
  poster.addEventListener("loadeddata", () => {
    poster.hidden = false;
  });
  const observer = new IntersectionObserver(([entry]) => {
    if (!entry?.isIntersecting && tile.isConnected) return;
    observer.disconnect();
    if (!tile.isConnected) return;
    poster.preload = "auto";
    poster.src = `${address}#t=${posterSeconds}`;
  });
  observer.observe(tile);
}

/** @param {HTMLElement} tile @param {() => void} play @param {() => void} stop */
function whileSeen(tile, play, stop) {
  const observer = new IntersectionObserver(
    ([entry]) => {
      if (!tile.isConnected) observer.disconnect();
      else if (entry?.isIntersecting) play();
      else stop();
    },
    { threshold: 0.6 },
  );
  observer.observe(tile);
}

/** @param {string} address */
function textOf(address) {
  const text = element("pre", "text", "…");
  const unreadable = "The file cannot be shown here: open it instead.";
  fetch(address, { signal: AbortSignal.timeout(20_000) })
    .then((response) => (response.ok ? response.text() : unreadable))
    .catch(() => unreadable)
    .then((content) => setText(text, content.slice(0, 20_000)));
  return text;
}

/** What is to be seen of a job without files. @param {string} preview its address, "" for none @param {Job} job */
export function previewOf(preview, job) {
  if (preview !== "") {
    const image = element("img", "preview");
    image.src = preview;
    image.alt = "The unfinished result";
    return image;
  }
  const waits = job.status === "queued" ? "Waits for its turn." : "Nothing to see yet.";
  const tried = `Ended after ${counted(job.attempts.length, "attempt")}.`;
  const never = job.attempts.length === 0 ? "Ended before it began." : tried;
  return element("p", "no-media", job.settled_at === null ? waits : never);
}
