import type { IntTensor } from "#pipelines/core/tensor.ts";

/** The ids that frame and fill a chunk; a {@link import("./clip-tokenizer.ts").ClipTokenizer} has them. */
export interface ChunkFrame {
  readonly beginId: number;
  readonly endId: number;
  readonly padId: number;
  /** Tokens of a chunk with its begin and end token. */
  readonly maxLength: number;
}

/** Number of chunks that hold `tokenCount` tokens; an empty text still needs one. */
export function countChunks(tokenCount: number, maxLength: number): number {
  return Math.max(1, Math.ceil(tokenCount / (maxLength - 2)));
}

/**
 * Lays tokens out as chunks that a text encoder can read: begin, up to `maxLength` − 2 tokens, end, padding. Every token
 * is in a chunk: nothing is cut.
 * @param chunkCount at least what the tokens need; further chunks are empty texts
 * @returns `[chunkCount, maxLength]`
 * @throws RangeError when the tokens do not fit
 */
export function chunkTokens(tokens: readonly number[], frame: ChunkFrame, chunkCount: number): IntTensor {
  const { beginId, endId, padId, maxLength } = frame;
  if (chunkCount < countChunks(tokens.length, maxLength)) {
    throw new RangeError(`${tokens.length} tokens do not fit into ${chunkCount} chunks of ${maxLength}`);
  }
  const data = new Int32Array(chunkCount * maxLength).fill(padId);
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    const words = tokens.slice(chunk * (maxLength - 2), (chunk + 1) * (maxLength - 2));
    data.set([beginId, ...words, endId], chunk * maxLength);
  }
  return { data, dims: [chunkCount, maxLength] };
}
