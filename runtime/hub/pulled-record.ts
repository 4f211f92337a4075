import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** `.pulled.json` in a model's folder: where it comes from, and what each file was when it came. */
const pulledRecord = z.object({
  repo: z.string(),
  /** The branch, tag or commit that was named. */
  revision: z.string(),
  /** What that was then: all files are of this commit. */
  commit: z.string(),
  /** Of a language model. */
  precision: z.string().optional(),
  pulled_at: z.iso.datetime(),
  files: z.array(z.object({ path: z.string(), size_bytes: z.number(), sha256: z.string() })),
});
export type PulledRecord = z.output<typeof pulledRecord>;

const recordName = ".pulled.json";

/** Null where there is none, or no valid one. */
export async function readRecord(modelFolder: string): Promise<PulledRecord | null> {
  try {
    return pulledRecord.parse(JSON.parse(await readFile(join(modelFolder, recordName), "utf8")));
  } catch {
    return null;
  }
}

export async function writeRecord(modelFolder: string, record: PulledRecord): Promise<void> {
  const file = await open(join(modelFolder, recordName), "w");
  try {
    await file.writeFile(`${JSON.stringify(record, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}
