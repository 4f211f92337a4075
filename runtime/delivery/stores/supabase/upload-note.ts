import { readFile, rename, rm, writeFile } from "node:fs/promises";
import type { PreviousUpload, UrlStorage } from "tus-js-client";
import { z } from "zod";

/*
 * Where an upload that is under way goes on, in a file beside the file that is uploaded: it survives the process, and goes
 * with the work folder. An address is good for 24 hours at the service; an older note is as none.
 *
 * A note that cannot be written costs nothing but a fresh beginning after a crash, so nothing here rejects.
 */
const goodForMs = 23.5 * 60 * 60 * 1000;

const note = z.object({ fingerprint: z.string(), uploadUrl: z.string(), createdAtMs: z.number() });

export class UploadNote implements UrlStorage {
  readonly #path: string;
  readonly #nowMs: () => number;
  /** The first part does not wait for the disk. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(file: string, nowMs: () => number) {
    this.#path = `${file}.upload.json`;
    this.#nowMs = nowMs;
  }

  async findUploadsByFingerprint(fingerprint: string): Promise<PreviousUpload[]> {
    const known = await this.#read();
    if (known === null || known.fingerprint !== fingerprint) return [];
    if (this.#nowMs() - known.createdAtMs > goodForMs) return [];
    return [
      {
        size: null,
        metadata: {},
        creationTime: new Date(known.createdAtMs).toISOString(),
        urlStorageKey: fingerprint,
        uploadUrl: known.uploadUrl,
        parallelUploadUrls: null,
      },
    ];
  }

  async findAllUploads(): Promise<PreviousUpload[]> {
    const known = await this.#read();
    return known === null ? [] : this.findUploadsByFingerprint(known.fingerprint);
  }

  async addUpload(fingerprint: string, { uploadUrl }: PreviousUpload): Promise<string> {
    const text = JSON.stringify({ fingerprint, uploadUrl, createdAtMs: this.#nowMs() });
    const unfinished = `${this.#path}.part`;
    this.#writing = writeFile(unfinished, text, { mode: 0o600 })
      .then(() => rename(unfinished, this.#path))
      .catch(() => undefined);
    return fingerprint;
  }

  async removeUpload(): Promise<void> {
    await this.#writing;
    await rm(this.#path, { force: true }).catch(() => undefined);
  }

  /** Resolves when nothing is being written: what is in the folder can be removed. */
  async close(): Promise<void> {
    await this.#writing;
  }

  async #read(): Promise<z.output<typeof note> | null> {
    await this.#writing;
    try {
      return note.parse(JSON.parse(await readFile(this.#path, "utf8")));
    } catch {
      return null;
    }
  }
}
