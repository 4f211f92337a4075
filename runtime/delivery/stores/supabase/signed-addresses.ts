/*
 * Signed addresses of stored files. A page of jobs shows hundreds of files: what is asked for in one turn of the event loop
 * is signed in one request for each bucket, and kept for half the time that it is good for.
 */
export interface SignedAddressesOptions {
  /** Addresses by path, for those that exist. */
  sign(bucket: string, paths: readonly string[], seconds: number): Promise<ReadonlyMap<string, string>>;
  readonly nowMs: () => number;
}

const goodForSeconds = 3600;
const keepMs = (goodForSeconds * 1000) / 2;
const maxKept = 10_000;
/** The service takes 1,000. */
const maxAtOnce = 500;

interface Batch {
  readonly paths: Set<string>;
  readonly addresses: Promise<ReadonlyMap<string, string>>;
}

export class SignedAddresses {
  readonly #options: SignedAddressesOptions;
  /** By `<bucket>/<path>`, oldest first. */
  readonly #kept = new Map<string, { readonly address: string; readonly untilMs: number }>();
  readonly #batches = new Map<string, Batch>();

  constructor(options: SignedAddressesOptions) {
    this.#options = options;
  }

  /** Null when there is no such file. Rejects as `sign` does. */
  async get(bucket: string, path: string): Promise<string | null> {
    const name = `${bucket}/${path}`;
    const kept = this.#kept.get(name);
    if (kept && kept.untilMs > this.#options.nowMs()) return kept.address;
    const address = (await this.#batch(bucket, path).addresses).get(path);
    if (address === undefined) return null;
    this.#keep(name, address);
    return address;
  }

  #batch(bucket: string, path: string): Batch {
    const open = this.#batches.get(bucket);
    if (open && open.paths.size < maxAtOnce) {
      open.paths.add(path);
      return open;
    }
    const paths = new Set([path]);
    const addresses = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      if (this.#batches.get(bucket) === batch) this.#batches.delete(bucket);
      return this.#options.sign(bucket, [...paths], goodForSeconds);
    });
    const batch = { paths, addresses };
    this.#batches.set(bucket, batch);
    return batch;
  }

  #keep(name: string, address: string): void {
    // Moves to the end when it was there.
    this.#kept.delete(name);
    this.#kept.set(name, { address, untilMs: this.#options.nowMs() + keepMs });
    if (this.#kept.size <= maxKept) return;
    const oldest = this.#kept.keys().next();
    if (!oldest.done) this.#kept.delete(oldest.value);
  }
}
