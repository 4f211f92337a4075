// @ts-check

/*
 * Calls of the container's functions. The key goes in the header Authorization only, never into an address, and is kept
 * for this tab alone. Event streams are read with fetch, because an EventSource cannot send the header.
 */

/** @typedef {import("../../api/schemas/job-view.ts").JobView} Job */
/** @typedef {import("../../api/schemas/input-view.ts").InputView} Input */
/** @typedef {{ field: string, message: string }} Problem one field that the container refuses */
/** @typedef {{ id: string, event: string, data: unknown }} ServerEvent */
/** @typedef {{ signal?: AbortSignal, limitMs?: number }} Limits when a call is given up: by its caller, or for its time */

const storageName = "ourvidz.key";
const callLimitMs = 20_000;
const uploadLimitMs = 3_600_000;
const streamLimitMs = 3_600_000;
const fileType = "application/octet-stream";
const maxPauseMs = 10_000;

export class ApiError extends Error {
  /**
   * @param {number} status 0 when the container did not answer
   * @param {string} code
   * @param {string} message
   * @param {{ details?: unknown, retryAfterSeconds?: number | null }} [more]
   */
  constructor(status, code, message, { details, retryAfterSeconds = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.details = details;
    /** When the container expects to have room again; null when it says nothing of it. */
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** @returns {Problem[]} */
  get problems() {
    if (!Array.isArray(this.details)) return [];
    return this.details.filter((one) => typeof one?.field === "string" && typeof one?.message === "string");
  }
}

export class Api {
  /** @type {Promise<boolean> | null} */
  #keyRequest = null;
  #promptForKey;

  /** @param {() => Promise<boolean>} promptForKey called when the key is missing or wrong; true when there is a good one now */
  constructor(promptForKey) {
    this.#promptForKey = promptForKey;
  }

  get hasKey() {
    return sessionStorage.getItem(storageName) !== null;
  }

  forgetKey() {
    sessionStorage.removeItem(storageName);
  }

  /**
   * Keeps the key when the container knows it.
   * @param {string} key
   * @returns {Promise<boolean>}
   */
  async tryKey(key) {
    const response = await request("GET", "/worker/status", key);
    if (response.status === 401) return false;
    if (!response.ok) throw await errorOf(response);
    sessionStorage.setItem(storageName, key);
    return true;
  }

  /**
   * @template Body
   * @param {string} path
   * @returns {Promise<Body>}
   */
  get(path) {
    return this.call("GET", path);
  }

  /**
   * A container that has to be restarted answers 503, in the same form.
   *
   * @template Body
   * @returns {Promise<Body>}
   */
  async health() {
    const response = await request("GET", "/health", null);
    if (response.ok || response.status === 503) return response.json();
    throw await errorOf(response);
  }

  /**
   * The answer's JSON. Asks for the key when there is need, once for all calls that wait for it.
   *
   * @template Body
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Limits} [limits]
   * @returns {Promise<Body>} as the function's schema says: the container checks its own answers
   */
  async call(method, path, body, limits) {
    return (await this.#answered(method, path, body, limits)).json();
  }

  /**
   * The events of an answer that comes piece by piece. Ends with them, however long that takes.
   *
   * @param {string} path
   * @param {unknown} body
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<ServerEvent>}
   */
  async *stream(path, body, signal) {
    const response = await this.#answered("POST", path, body, { signal, limitMs: streamLimitMs });
    if (response.body !== null) yield* readEvents(response.body);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Limits} [limits]
   * @returns {Promise<Response>}
   */
  async #answered(method, path, body, limits) {
    const key = sessionStorage.getItem(storageName);
    const response = await request(method, path, key, body, limits);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (error.status !== 401) throw error;
    // Another call may have received a good key while this one was under way.
    const isStale = key !== sessionStorage.getItem(storageName);
    if (isStale || (await this.#requestKey())) return this.#answered(method, path, body, limits);
    throw error;
  }

  /**
   * Uploads a file for jobs of this user.
   *
   * @param {File} file
   * @param {string | undefined} userId
   * @returns {Promise<Input>}
   */
  async upload(file, userId) {
    const query = userId === undefined ? "" : `?user_id=${encodeURIComponent(userId)}`;
    return this.call("POST", `/inputs${query}`, file);
  }

  /**
   * A file that was uploaded; null for one that is not there any more.
   *
   * @param {string} address `input:<sha256>`
   * @param {string} [userId]
   * @returns {Promise<Input | null>}
   */
  async findInput(address, userId) {
    const query = userId === undefined ? "" : `?user_id=${encodeURIComponent(userId)}`;
    return this.call("GET", `/inputs/${encodeURIComponent(address)}${query}`).catch(() => null);
  }

  /**
   * The events of a job until its final state, also over connections that break.
   *
   * @param {string} jobId
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<ServerEvent>}
   */
  async *events(jobId, signal) {
    let lastId = "";
    for (let pauseMs = 500; !signal.aborted; pauseMs = Math.min(pauseMs * 2, maxPauseMs)) {
      try {
        const response = await openEvents(jobId, lastId, signal);
        if (response.status === 204 || response.status === 404 || response.status === 401) return;
        if (!response.ok || response.body === null) throw await errorOf(response);
        for await (const event of readEvents(response.body)) {
          lastId = event.id;
          pauseMs = 500;
          yield event;
          if (event.id.startsWith("end.")) return;
        }
      } catch {
        // A connection that broke is opened again below, after the last event that came.
      }
      await pause(pauseMs, signal);
    }
  }

  #requestKey() {
    this.#keyRequest ??= this.#promptForKey().finally(() => {
      this.#keyRequest = null;
    });
    return this.#keyRequest;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {string | null} key
 * @param {unknown} [body]
 * @param {Limits} [limits]
 * @returns {Promise<Response>}
 */
async function request(method, path, key, body, { signal: left, limitMs } = {}) {
  const limit = AbortSignal.timeout(limitMs ?? (body instanceof Blob ? uploadLimitMs : callLimitMs));
  const signal = left === undefined ? limit : AbortSignal.any([left, limit]);
  /** @type {RequestInit} */
  const init = { method, headers: headersOf(key, body), signal, cache: "no-store" };
  if (body !== undefined) init.body = body instanceof Blob ? body : JSON.stringify(body);
  try {
    return await fetch(addressOf(path), init);
  } catch {
    left?.throwIfAborted();
    throw new ApiError(0, "NO_ANSWER", "The container does not answer.");
  }
}

/** The container may lie below a path that its proxy takes away: this file's own address says where. @param {string} path */
function addressOf(path) {
  return new URL(`..${path}`, import.meta.url);
}

/**
 * @param {string} jobId
 * @param {string} lastId
 * @param {AbortSignal} signal
 */
function openEvents(jobId, lastId, signal) {
  const headers = headersOf(sessionStorage.getItem(storageName));
  if (lastId !== "") headers["Last-Event-ID"] = lastId;
  return fetch(addressOf(`/jobs/${encodeURIComponent(jobId)}/events`), { headers, signal, cache: "no-store" });
}

/**
 * @param {string | null} key
 * @param {unknown} [body]
 * @returns {Record<string, string>}
 */
function headersOf(key, body) {
  return {
    Accept: "application/json, text/event-stream",
    ...(key === null ? {} : { Authorization: `Bearer ${key}` }),
    ...(body === undefined ? {} : { "Content-Type": body instanceof Blob ? fileType : "application/json" }),
  };
}

/** @param {Response} response */
async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const message = typeof body?.error === "string" ? body.error : `The container answered ${response.status}.`;
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  const retryAfterSeconds = Number.isFinite(seconds) ? seconds : null;
  return new ApiError(response.status, String(body?.code ?? "UNKNOWN"), message, {
    details: body?.details,
    retryAfterSeconds,
  });
}

/**
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<ServerEvent>}
 */
async function* readEvents(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const blocks = (rest + decoder.decode(read.value, { stream: true })).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = new Map(block.split("\n").map((line) => [line.split(":", 1)[0], line.replace(/^[^:]*: ?/, "")]));
        const data = fields.get("data");
        if (data === undefined) continue;
        yield { id: fields.get("id") ?? "", event: fields.get("event") ?? "", data: JSON.parse(data) };
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/**
 * Ends early when the signal aborts.
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
