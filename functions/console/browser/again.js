// @ts-check

/** @typedef {import("./api.js").Job} Job */

/**
 * The same job as a new one, to be handed in again.
 *
 * @param {Job} job
 * @param {{ seed?: number | null, alone?: boolean }} [changes] `seed`: this one, or null for a new one;
 *   `alone`: one picture, because the seed is that of one among several
 * @returns {Record<string, unknown>}
 */
export function sameJob({ type, prompt, user_id, priority, config, metadata, fields }, { seed, alone = false } = {}) {
  const { seed: _given, ...rest } = config;
  return {
    ...fields,
    type,
    ...(prompt === null ? {} : { prompt }),
    user_id,
    priority,
    config: {
      ...(seed === undefined ? config : rest),
      ...(typeof seed === "number" ? { seed } : {}),
      ...(alone && "num_images" in config ? { num_images: 1 } : {}),
    },
    metadata,
  };
}

/**
 * The seed that made this asset, else the job's.
 * @param {Job} job
 * @param {number} index of the asset
 * @returns {number | null}
 */
export function seedOf(job, index) {
  const candidates = [job.assets[index]?.metadata?.seed, job.result_metadata?.seed, job.config.seed];
  return candidates.find((seed) => typeof seed === "number") ?? null;
}
