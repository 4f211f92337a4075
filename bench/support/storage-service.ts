import { once } from "node:events";
import process from "node:process";
import { startStorageServer } from "#test/support/supabase/storage-server.ts";

/*
 * A storage service in a process of its own: its work and its memory are not those of who uploads. Prints where it is as
 * one line of JSON; ends with its standard input.
 */
const storage = await startStorageServer({ buckets: [{ id: "films", allowedMimeTypes: ["video/mp4"] }] });
const { url, serviceKey } = storage;
process.stdout.write(`${JSON.stringify({ url, serviceKey })}\n`);
await once(process.stdin.resume(), "end");
await storage.close();
