import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface ConsoleFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly mimeType: string;
  readonly etag: string;
}

const folder = fileURLToPath(new URL("./browser", import.meta.url));

const mimeTypes: ReadonlyMap<string, string> = new Map([
  [".css", "text/css; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".svg", "image/svg+xml"],
]);

let files: Promise<ReadonlyMap<string, ConsoleFile>> | null = null;

/** A file of the console by its name; null when there is none. Names are looked up, so none leads out of the folder. */
export async function readConsoleFile(name: string): Promise<ConsoleFile | null> {
  files ??= readFolder();
  return (await files).get(name) ?? null;
}

async function readFolder(): Promise<ReadonlyMap<string, ConsoleFile>> {
  const names = (await readdir(folder)).filter((name) => mimeTypes.has(extname(name)));
  return new Map(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
}

async function read(name: string): Promise<ConsoleFile> {
  const bytes = new Uint8Array(await readFile(join(folder, name)));
  const digest = createHash("sha256").update(bytes).digest("base64url").slice(0, 22);
  return { bytes, mimeType: mimeTypes.get(extname(name)) ?? "application/octet-stream", etag: `"${digest}"` };
}
