import type { FileHandle } from "node:fs/promises";
import type { ByteRange } from "./byte-range.ts";

const chunkBytes = 256 * 1024;

/**
 * A part of an open file as a stream, read as it is taken; the file is closed at the end, at an error, and when the
 * reader leaves.
 */
export function fileStream(file: FileHandle, { start, end }: ByteRange): ReadableStream<Uint8Array> {
  let position = start;
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { bytesRead, buffer } = await file.read(
            Buffer.allocUnsafeSlow(Math.min(chunkBytes, end + 1 - position)),
            { position },
          );
          if (bytesRead === 0) throw new Error("a file became shorter while it was sent");
          position += bytesRead;
          controller.enqueue(buffer.subarray(0, bytesRead));
          if (position <= end) return;
          controller.close();
          await file.close();
        } catch (error) {
          await file.close();
          throw error;
        }
      },
      cancel: () => file.close(),
    },
    { highWaterMark: 0 },
  );
}
