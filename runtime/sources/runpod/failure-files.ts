import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { errorReport } from "#runtime/executor/protocol.ts";
import { syncFolder } from "#runtime/lib/durable-files.ts";

const keptFailure = z.object({
  runpodId: z.string(),
  error: errorReport,
  /** Whether chunks were posted before. */
  isStream: z.boolean(),
});
export type KeptFailure = Readonly<z.output<typeof keptFailure>>;

/** What is written takes milliseconds: what is older was left when a process was killed. */
const partKeptMs = 60 * 60 * 1000;

/** Failures that the platform has not taken, a file each, so that the next process on the data folder posts what this one cannot. */
export class FailureFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** On disk when it resolves. */
  async keep(failure: KeptFailure): Promise<void> {
    const file = this.#fileOf(failure.runpodId);
    await mkdir(this.#folder, { recursive: true });
    await writeFile(`${file}.part`, JSON.stringify(failure), { mode: 0o600, flush: true });
    await rename(`${file}.part`, file);
    await syncFolder(this.#folder);
  }

  async forget(runpodId: string): Promise<void> {
    await rm(this.#fileOf(runpodId), { force: true });
  }

  /** What cannot be read is none. Removes what was left half written. */
  async all(): Promise<readonly KeptFailure[]> {
    const names = await readdir(this.#folder).catch(() => []);
    await Promise.all(names.filter((name) => name.endsWith(".part")).map((name) => this.#removeLeft(name)));
    const kept = names.filter((name) => name.endsWith(".json")).map((name) => this.#read(join(this.#folder, name)));
    return (await Promise.all(kept)).filter((failure) => failure !== null);
  }

  async #removeLeft(name: string): Promise<void> {
    const file = join(this.#folder, name);
    const part = await stat(file).catch(() => null);
    if (part !== null && Date.now() - part.mtimeMs > partKeptMs) await rm(file, { force: true }).catch(() => undefined);
  }

  async #read(file: string): Promise<KeptFailure | null> {
    try {
      return keptFailure.parse(JSON.parse(await readFile(file, "utf8")));
    } catch {
      return null;
    }
  }

  #fileOf(runpodId: string): string {
    return join(this.#folder, `${createHash("sha256").update(runpodId).digest("hex")}.json`);
  }
}
