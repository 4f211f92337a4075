import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { storageErrors } from "./storage-error.ts";

/* Buckets and objects with the rules that the storage service checks, whichever way a file comes. */
export interface StorageBucket {
  readonly id: string;
  readonly public?: boolean;
  readonly fileSizeLimit?: number | null;
  readonly allowedMimeTypes?: readonly string[] | null;
}

export interface StoredObject {
  readonly id: string;
  readonly bucket: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly mimeType: string;
  readonly cacheControl: string;
  /** Where the bytes are. */
  readonly file: string;
  /** How often a file was stored under this path. */
  readonly version: number;
  readonly createdAt: Date;
}

export type FindBucket = (id: string) => Promise<StorageBucket | null> | StorageBucket | null;

export interface IncomingObject {
  readonly bucket: string;
  readonly path: string;
  readonly mimeType: string | null;
  readonly sizeBytes: number | null;
  readonly upsert: boolean;
}

// From the service's own limits: what is safe in S3 keys.
const validKey = /^[A-Za-z0-9_/!.*'() &$=@;:+,?-]+$/;
const validBucket = /^[A-Za-z0-9_!.*'() &$=@;:+,?-]{1,100}$/;

export class ObjectStore {
  readonly #objects = new Map<string, StoredObject>();
  readonly #findBucket: FindBucket;
  readonly #projectSizeLimit: number;

  constructor(findBucket: FindBucket, projectSizeLimit: number) {
    this.#findBucket = findBucket;
    this.#projectSizeLimit = projectSizeLimit;
  }

  /** @throws StorageError for a name that is none and a bucket that does not exist */
  async bucket(id: string): Promise<StorageBucket> {
    const bucket = validBucket.test(id) ? await this.#findBucket(id) : null;
    if (bucket === null) throw storageErrors.noBucket();
    return bucket;
  }

  async sizeLimit(bucketId: string): Promise<number> {
    return Math.min((await this.bucket(bucketId)).fileSizeLimit ?? Number.POSITIVE_INFINITY, this.#projectSizeLimit);
  }

  /** @throws StorageError for whatever is known to be wrong before the bytes come */
  async check({ bucket: id, path, mimeType, sizeBytes, upsert }: IncomingObject): Promise<void> {
    if (!validKey.test(path)) throw storageErrors.invalidKey(path);
    const { allowedMimeTypes } = await this.bucket(id);
    if (mimeType !== null && allowedMimeTypes && allowedMimeTypes.length > 0 && !isAllowed(mimeType, allowedMimeTypes))
      throw storageErrors.mimeType(mimeType);
    if (sizeBytes !== null && sizeBytes > (await this.sizeLimit(id))) throw storageErrors.tooLarge();
    if (!upsert && this.find(id, path) !== undefined) throw storageErrors.alreadyExists();
  }

  put(object: Omit<StoredObject, "id" | "version" | "createdAt">): StoredObject {
    const replaced = this.find(object.bucket, object.path);
    const stored = { ...object, id: randomUUID(), version: (replaced?.version ?? 0) + 1, createdAt: new Date() };
    if (replaced !== undefined) rmSync(replaced.file, { force: true });
    this.#objects.set(`${object.bucket}/${object.path}`, stored);
    return stored;
  }

  find(bucket: string, path: string): StoredObject | undefined {
    return this.#objects.get(`${bucket}/${path}`);
  }

  /** @throws StorageError */
  get(bucket: string, path: string): StoredObject {
    const object = this.find(bucket, path);
    if (object === undefined) throw storageErrors.noObject();
    return object;
  }

  remove(bucket: string, path: string): void {
    this.get(bucket, path);
    this.#objects.delete(`${bucket}/${path}`);
  }

  all(): StoredObject[] {
    return [...this.#objects.values()];
  }
}

function isAllowed(mimeType: string, allowed: readonly string[]): boolean {
  const [type = "", subtype] = (mimeType.split(";", 1)[0] ?? "").trim().split("/");
  return allowed.some((one) => one === `${type}/*` || one === `${type}/${subtype}`);
}
