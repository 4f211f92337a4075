import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { pino } from "pino";
import { describeAssetStore } from "#test/conformance/delivery.ts";
import { type StorageServer, startStorageServer } from "#test/support/supabase/storage-server.ts";
import { LocalAssetStore } from "./local-asset-store.ts";
import { SupabaseAssetStore } from "./supabase-asset-store.ts";

const log = pino({ level: "silent" });
const mimeTypes: Readonly<Record<string, string>> = { ".png": "image/png", ".webp": "image/webp", ".mp4": "video/mp4" };

describeAssetStore("local", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-files-"));
  const store = new LocalAssetStore({ folder, signingKey: Buffer.alloc(32, 7), nowMs: Date.now });
  return {
    store,
    // The route that serves these addresses is tested with the server.
    async open(address) {
      const url = new URL(address, "http://localhost");
      const [bucket = "", ...path] = url.pathname.slice("/files/".length).split("/");
      const name = `${bucket}/${path.join("/")}`;
      const isOurs = store.verify(
        name,
        Number(url.searchParams.get("expires")),
        `${url.searchParams.get("signature")}`,
      );
      if (!isOurs) throw new Error("the address is not signed");
      const file = store.locate(bucket, path.join("/"));
      return { bytes: await readFile(file), mimeType: mimeTypes[extname(file)] ?? "" };
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
});

const buckets = [
  { id: "pictures", allowedMimeTypes: ["image/png", "image/webp", "video/mp4"], fileSizeLimit: 20_000_000 },
];

for (const kind of ["serviceKey", "secretKey"] as const) {
  describeAssetStore(`supabase, with a ${kind === "serviceKey" ? "legacy key" : "secret key"}`, async () => {
    const storage = await startStorageServer({ buckets });
    const store = storeOf(storage, kind);
    return {
      store,
      async open(address) {
        const response = await fetch(address);
        if (!response.ok) throw new Error(`${response.status} at ${address}`);
        const bytes = Buffer.from(await response.arrayBuffer());
        return { bytes, mimeType: response.headers.get("content-type") ?? "" };
      },
      close: () => storage.close(),
    };
  });
}

function storeOf(storage: StorageServer, kind: "serviceKey" | "secretKey"): SupabaseAssetStore {
  return new SupabaseAssetStore({ project: { url: storage.url, serviceKey: storage[kind] }, log, nowMs: Date.now });
}
