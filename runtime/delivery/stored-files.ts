import type { Config } from "#runtime/container/config.ts";
import { publicAddress } from "#runtime/heartbeat/public-address.ts";
import type { ResultFiles } from "#runtime/sources/job-source.ts";
import type { AssetStore, FileReader } from "./stores/asset-store.ts";

/** Where stored files can be read by others, and the files themselves. */
export interface StoredFiles {
  /** The address at which a stored file can be read for a while; null when there is none. */
  address(bucket: string, path: string): Promise<string | null>;
  read(bucket: string, path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | "too large" | null>;
}

/** Files of the data folder have an address where the container has a public one. */
export function storedFiles(
  { http, podId }: Pick<Config, "http" | "podId">,
  store: Pick<AssetStore, "url"> & FileReader,
): StoredFiles {
  const base = publicAddress({ publicUrl: http.publicUrl, podId }, http.port)?.url.replace(/\/+$/, "") ?? null;
  return {
    async address(bucket, path) {
      const address = await store.url(bucket, path);
      if (address === null || !address.startsWith("/")) return address;
      return base === null ? null : `${base}${address}`;
    },
    read: (bucket, path, maxBytes, signal) => store.read(bucket, path, maxBytes, signal),
  };
}

/** Those of one job. */
export function filesIn(files: StoredFiles, bucket: string, signal: AbortSignal): ResultFiles {
  return {
    address: (path) => files.address(bucket, path),
    read: (path, maxBytes) => files.read(bucket, path, maxBytes, signal),
  };
}
