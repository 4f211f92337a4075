import { lstat, mkdir, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { PermanentError } from "#contract/errors.ts";
import type { AssetOptions } from "#contract/handler.ts";
import { inputsFolder, removeWork, scratchFolder } from "#runtime/container/data-folder.ts";
import { moveFile, syncFile, syncFolder } from "#runtime/lib/durable-files.ts";
import type { AssetFile } from "../protocol.ts";

/*
 * The folder of one attempt: `<data>/work/<job>/<attempt>-<lease>/`. What `ctx.asset` resolves for is on disk, with the
 * folder's entry, before it is reported, so that the outbox never names a file that a power cut took.
 */
export class WorkFolder {
  readonly #path: string;
  readonly #assets: AssetFile[] = [];
  #reserved = 0;
  #created: Promise<void> | null = null;
  readonly #temporary = new Set<string>();

  constructor(path: string) {
    this.#path = path;
  }

  get path(): string {
    return this.#path;
  }

  get assets(): readonly AssetFile[] {
    return this.#assets.toSorted((a, b) => a.index - b.index);
  }

  /** @throws PermanentError HANDLER_FAILED for what is no regular file; file system errors as they are */
  async add(content: Uint8Array | { readonly file: string }, options: AssetOptions): Promise<AssetFile> {
    const index = this.#reserved++;
    await this.#ready();
    const file = join(this.#path, `${index}.${options.extension}`);
    const sizeBytes = await this.#store(content, file);
    const thumbnail = options.thumbnail && {
      file: join(this.#path, `${index}.thumb.${options.thumbnail.extension}`),
      extension: options.thumbnail.extension,
      mimeType: options.thumbnail.mimeType,
    };
    if (thumbnail && options.thumbnail) await this.#store(options.thumbnail.bytes, thumbnail.file);
    await syncFolder(this.#path);
    const asset: AssetFile = {
      index,
      type: options.type,
      file,
      extension: options.extension,
      mimeType: options.mimeType,
      sizeBytes,
      ...(thumbnail ? { thumbnail } : {}),
      metadata: { ...options.metadata },
    };
    this.#assets.push(asset);
    return asset;
  }

  /** Ready for reference files, which another process puts there. */
  async forInputs(): Promise<void> {
    await this.#ready();
    this.#temporary.add(inputsFolder(this.#path));
  }

  /** A folder for files under way. */
  async scratch(): Promise<string> {
    const folder = scratchFolder(this.#path);
    await this.#ready();
    await mkdir(folder, { recursive: true });
    this.#temporary.add(folder);
    return folder;
  }

  /** After the attempt: what it handed over is kept, what it was given or left under way is not. An empty folder goes too. */
  async removeTemporary(): Promise<void> {
    if (this.#temporary.size === 0) return;
    for (const folder of this.#temporary) await rm(folder, { recursive: true, force: true });
    if (this.#assets.length === 0) await removeWork(this.#path);
  }

  #ready(): Promise<void> {
    this.#created ??= this.#create();
    return this.#created;
  }

  /** Made for the first file: jobs without files leave the disk alone. Empty, whatever an earlier process left there. */
  async #create(): Promise<void> {
    await rm(this.#path, { recursive: true, force: true });
    await mkdir(this.#path, { recursive: true });
  }

  async #store(content: Uint8Array | { readonly file: string }, target: string): Promise<number> {
    if (content instanceof Uint8Array) {
      const handle = await open(target, "w");
      try {
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
      return content.byteLength;
    }
    // A link would be delivered as what it points to, which may be any file of this machine.
    if (!(await lstat(content.file)).isFile())
      throw new PermanentError(`ctx.asset refuses ${content.file}: it must be a regular file, not a link or a folder.`);
    await moveFile(content.file, target);
    await syncFile(target);
    return (await stat(target)).size;
  }
}
