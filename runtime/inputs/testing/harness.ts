import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";

import { InputCache } from "../input-cache.ts";
import type { FetchedFile, InputRequest } from "../input-request.ts";
import { Inputs, type InputsOptions } from "../inputs.ts";
import { inputLimits } from "../limits.ts";
import { publicAddress, type Site, startInternet, type TestInternet } from "./internet.ts";

export const host = "files.example.test";

export interface InputsHarness {
  readonly internet: TestInternet;
  /** The data folder's part for inputs. */
  readonly folder: string;
  /** Folder of the attempt. */
  readonly work: string;
  readonly picture: Buffer;
  create(options?: Partial<InputsOptions> & { readonly cacheBytes?: number }): Inputs;
  /** Fetches with fresh inputs that share the cache's folder. */
  fetch(url: string, request?: Partial<InputRequest>, options?: Partial<InputsOptions>): Promise<FetchedFile>;
  serve(site: Site, hostname?: string): void;
  partialFiles(): Promise<string[]>;
}

/** A small internet for a file's tests, and an empty folder and cache for each of them. */
export function inputsHarness(): InputsHarness {
  let internet: TestInternet | undefined;
  let base = "";
  let picture: Buffer = Buffer.alloc(0);
  let fetches = 0;

  beforeAll(async () => {
    internet = await startInternet();
    picture = await makePicture("darkgreen");
  });
  afterAll(() => internet?.close());
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), "ourvidz-inputs-"));
    internet?.names.set(host, [[publicAddress]]);
  });
  afterEach(async () => {
    internet?.names.clear();
    internet?.sites.clear();
    if (internet) internet.connections.length = internet.requests.length = 0;
    await rm(base, { recursive: true, force: true });
  });

  const harness: InputsHarness = {
    get internet() {
      if (internet === undefined) throw new Error("the internet exists only while tests run");
      return internet;
    },
    get folder() {
      return join(base, "inputs");
    },
    get work() {
      return join(base, "work");
    },
    get picture() {
      return picture;
    },
    create: ({ cacheBytes = 1e9, ...options } = {}) =>
      new Inputs({
        allowedHosts: [],
        supabase: null,
        cache: new InputCache({ folder: harness.folder, maxBytes: cacheBytes, nowMs: Date.now }),
        log: pino({ level: "silent" }),
        network: harness.internet.network,
        limits: inputLimits,
        ...options,
      }),
    fetch: (url, request = {}, options = {}) =>
      harness.create(options).fetch({
        url,
        userId: "ada",
        folder: harness.work,
        name: String(++fetches),
        signal: new AbortController().signal,
        ...request,
      }),
    serve(site, hostname = host) {
      harness.internet.sites.set(hostname, site);
    },
    partialFiles: () => readdir(join(harness.folder, "partial")).catch(() => []),
  };
  return harness;
}

/** Noise, so that it does not fit into the first packet. */
export function makePicture(background: string, side = 64): Promise<Buffer> {
  return sharp({
    create: { width: side, height: side, channels: 3, background, noise: { type: "gaussian", mean: 128, sigma: 30 } },
  })
    .png()
    .toBuffer();
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Answers with these bytes. */
export function sends(bytes: Uint8Array, headers: Record<string, string> = {}): Site {
  return (_request, response) => void response.writeHead(200, headers).end(bytes);
}
