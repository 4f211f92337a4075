import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { type FetchedMimeType, type InputKind, safetensorsMimeType } from "./limits.ts";
import { isSafetensors, sniff, sniffedBytes } from "./sniff.ts";

/** What a file turned out to be. */
export interface Content {
  readonly mimeType: FetchedMimeType;
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** What may come, and how it is refused. */
export interface ContentRules {
  readonly kinds: readonly InputKind[];
  /** Of a kind; before the kind is known, the largest counts. */
  maxBytes(kind: InputKind): number;
  tooLarge(maxBytes: number): Error;
  invalid(why: string): Error;
  /** Called with the bytes so far, before they are written; a throw ends it. */
  onBytes?(sizeBytes: number): void;
}

/**
 * Writes bytes to `file`, which must not exist, as they come: never more than the limit, and only while they look like what is
 * allowed. What a server or a name says of them plays no part.
 *
 * @throws what the rules make of it; file system errors and what `chunks` throws as they are
 */
export async function writeContent(
  chunks: AsyncIterable<Uint8Array>,
  file: string,
  rules: ContentRules,
): Promise<Content> {
  const hash = createHash("sha256");
  const handle = await open(file, "wx");
  let head: Buffer = Buffer.alloc(0);
  let mimeType: FetchedMimeType | null = null;
  let sizeBytes = 0;
  try {
    for await (const chunk of chunks) {
      sizeBytes += chunk.byteLength;
      if (mimeType === null) {
        head = Buffer.concat([head, chunk.subarray(0, sniffedBytes)]);
        if (head.byteLength >= sniffedBytes) mimeType = recognise(head, rules);
      }
      const limit = maxBytes(mimeType, rules);
      if (sizeBytes > limit) throw rules.tooLarge(limit);
      rules.onBytes?.(sizeBytes);
      hash.update(chunk);
      await writeAll(handle, chunk);
    }
    // A file that is shorter than what is looked at may still be one.
    return { mimeType: mimeType ?? recognise(head, rules), sizeBytes, sha256: hash.digest("hex") };
  } finally {
    await handle.close();
  }
}

function maxBytes(mimeType: FetchedMimeType | null, rules: ContentRules): number {
  if (mimeType !== null) return rules.maxBytes(kindOf(mimeType));
  return Math.max(...rules.kinds.map((kind) => rules.maxBytes(kind)));
}

export function kindOf(mimeType: FetchedMimeType): InputKind {
  return mimeType === safetensorsMimeType ? "weights" : "media";
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.byteLength; ) {
    written += (await handle.write(chunk, written)).bytesWritten;
  }
}

const allowedContent = {
  media: "PNG, JPEG, WebP, GIF, MP4, MOV or WebM",
  weights: "safetensors",
} as const satisfies Record<InputKind, string>;

function recognise(head: Buffer, { kinds, invalid }: ContentRules): FetchedMimeType {
  const media = kinds.includes("media") ? sniff(head) : null;
  const mimeType = media ?? (kinds.includes("weights") && isSafetensors(head) ? safetensorsMimeType : null);
  if (mimeType !== null) return mimeType;
  const allowed = kinds.map((kind) => allowedContent[kind]).join(", or ");
  throw invalid(head.byteLength === 0 ? "it is empty" : `by its content it is no ${allowed} file`);
}
