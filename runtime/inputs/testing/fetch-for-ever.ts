import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { InputCache } from "../input-cache.ts";
import { Inputs } from "../inputs.ts";

/* A process of its own that fetches a file which never ends, and says so when a part of it is on disk. */
const [folder = "", work = "", host = ""] = process.argv.slice(2);
const cache = new InputCache({ folder, maxBytes: 1e9, nowMs: Date.now });
const inputs = new Inputs({ allowedHosts: [host], supabase: null, cache, log: pino({ level: "silent" }) });
const request = { url: `http://${host}/a.png`, userId: "ada", folder: work, name: "a" };
void inputs.fetch({ ...request, signal: new AbortController().signal });

const partial = join(folder, "partial");
for (;;) {
  const [name] = await readdir(partial).catch(() => []);
  if (name !== undefined && (await stat(join(partial, name))).size > 0) break;
  await pause(5);
}
process.stdout.write("begun\n");
