import { createHash, createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/*
 * The hub's side of a model download, as far as it is documented: the API lists a repository at a commit in pages (Link
 * header), `resolve` answers small files itself and sends for large ones (LFS) to a signed address on another host, which
 * gives ranges and refuses whoever brings a second kind of authorization. It holds to its rules: a bad signature, a bad
 * token or a bad range is refused as there.
 */
export interface HubRepository {
  /** Content by path. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly access?: "open" | "gated" | "private";
}

export interface HubRequest {
  readonly host: "hub" | "storage";
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** What goes wrong with one answer. */
export type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The connection breaks after so many bytes. */
  | { readonly kind: "break"; readonly afterBytes: number }
  | { readonly kind: "silence"; readonly afterBytes: number }
  /** The right number of other bytes. */
  | { readonly kind: "wrong" }
  /** A range that nobody asked for, whole files in place of ranges. */
  | { readonly kind: "no ranges" };

export interface HubOptions {
  readonly token?: string;
  /** Entries of a listing's page. */
  readonly pageSize?: number;
  /** Sent per second; undefined: as fast as it goes. */
  readonly bytesPerSecond?: number;
}

const chunkBytes = 64 * 1024;

export class FakeHub {
  readonly requests: HubRequest[] = [];
  /** Asked for each request: what is to go wrong with it. */
  faultOf: (request: HubRequest) => Fault | undefined = () => undefined;
  bytesSent = 0;
  readonly #repositories = new Map<string, HubRepository>();
  readonly #options: HubOptions;
  readonly #key = randomBytes(16);
  readonly #hub: Server;
  readonly #storage: Server;

  private constructor(options: HubOptions) {
    this.#options = options;
    this.#hub = createServer((request, response) => void this.#serve("hub", request, response));
    this.#storage = createServer((request, response) => void this.#serve("storage", request, response));
  }

  static async start(options: HubOptions = {}): Promise<FakeHub> {
    const hub = new FakeHub(options);
    for (const server of [hub.#hub, hub.#storage]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    return hub;
  }

  get url(): string {
    return addressOf(this.#hub);
  }

  put(repo: string, repository: HubRepository): void {
    this.#repositories.set(repo, repository);
  }

  /** The commit of a repository's only branch, `main`: another one whenever a file is another. */
  commitOf(repo: string): string {
    const hash = createHash("sha1");
    for (const [path, content] of Object.entries(this.#repositories.get(repo)?.files ?? {}))
      hash.update(path).update(sha256(content));
    return hash.digest("hex");
  }

  /** Requests for the content of a file, at the host that has it. */
  requestsFor(path: string): HubRequest[] {
    return this.requests.filter((each) => each.path.includes(`/${path}`));
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    }
  }

  async #serve(host: HubRequest["host"], request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authorization, range } = request.headers;
    const seen = { host, path: request.url ?? "", authorization, range };
    this.requests.push(seen);
    response.on("error", () => undefined);
    const fault = this.faultOf(seen);
    if (fault?.kind === "status") {
      response.writeHead(fault.status, fault.headers).end();
      return;
    }
    const url = new URL(seen.path, this.url);
    if (host === "storage") await this.#store(url, seen, response, fault);
    else await this.#answer(url, seen, response, fault);
  }

  async #answer(url: URL, seen: HubRequest, response: ServerResponse, fault: Fault | undefined): Promise<void> {
    const { rest, repo, repository } = this.#find(url.pathname);
    if (repository === undefined) return refuse(response, 401, "RepoNotFound");
    const isKnown = seen.authorization === `Bearer ${this.#options.token}`;
    if (seen.authorization !== undefined && !isKnown) return refuse(response, 401, null);
    if (repository.access === "private" && !isKnown) return refuse(response, 401, "RepoNotFound");
    const commit = this.commitOf(repo);
    const revision = /^(?:revision|tree|resolve)\/([^/]+)/.exec(rest)?.[1];
    if (revision !== "main" && revision !== commit) return refuse(response, 404, "RevisionNotFound");
    if (rest.startsWith("revision/")) return json(response, { _id: "1", id: repo, sha: commit, private: false });
    if (rest.startsWith("tree/")) return this.#list(url, repository, response);
    if (repository.access === "gated" && !isKnown) return refuse(response, 403, "GatedRepo");
    const path = decodeURIComponent(rest.slice(`resolve/${revision}/`.length));
    const content = repository.files[path];
    if (content === undefined) return refuse(response, 404, "EntryNotFound");
    const facts = { "x-repo-commit": commit, "x-linked-size": String(content.byteLength), "accept-ranges": "bytes" };
    if (!isLarge(path, content)) {
      const headers = { ...facts, etag: `"${gitId(content)}"` };
      return this.#send(response, content, seen.range, fault, headers);
    }
    const expires = String(Math.floor(Date.now() / 1000) + 3600);
    const location = `${addressOf(this.#storage)}/${repo}/${path}?Expires=${expires}&Signature=${this.#sign(repo, path, expires)}`;
    response.writeHead(302, { ...facts, "x-linked-etag": `"${sha256(content)}"`, location }).end();
  }

  async #store(url: URL, seen: HubRequest, response: ServerResponse, fault: Fault | undefined): Promise<void> {
    // As S3: "Only one auth mechanism allowed".
    if (seen.authorization !== undefined) return refuse(response, 400, null);
    const [owner, name, ...segments] = url.pathname.slice(1).split("/");
    const [repo, path] = [`${owner}/${name}`, decodeURIComponent(segments.join("/"))];
    const expires = url.searchParams.get("Expires") ?? "";
    const content = this.#repositories.get(repo)?.files[path];
    if (content === undefined || url.searchParams.get("Signature") !== this.#sign(repo, path, expires))
      return refuse(response, 403, null);
    await this.#send(response, content, seen.range, fault, { "accept-ranges": "bytes", etag: '"of-the-storage"' });
  }

  #find(pathname: string) {
    const [, repo = "", rest = ""] = /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(.*)$/.exec(pathname) ?? [];
    return { repo, rest, repository: this.#repositories.get(repo) };
  }

  #list(url: URL, { files }: HubRepository, response: ServerResponse): void {
    const all = [
      ...new Set(Object.keys(files).flatMap((path) => (path.includes("/") ? [path.slice(0, path.indexOf("/"))] : []))),
    ].map((path) => ({ type: "directory", oid: "0".repeat(40), size: 0, path }));
    const entries = [...all, ...Object.entries(files).map(([path, content]) => entryOf(path, content))];
    const at = Number(url.searchParams.get("cursor") ?? 0);
    const { pageSize = 1000 } = this.#options;
    const next = new URL(url);
    next.searchParams.set("cursor", String(at + pageSize));
    const hasMore = at + pageSize < entries.length;
    json(response, entries.slice(at, at + pageSize), hasMore ? { link: `<${next.href}>; rel="next"` } : undefined);
  }

  async #send(
    response: ServerResponse,
    content: Uint8Array,
    range: string | undefined,
    fault: Fault | undefined,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    const from = fault?.kind === "no ranges" ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    if (from > 0 && from >= content.byteLength) {
      response.writeHead(416, { "content-range": `bytes */${content.byteLength}` }).end();
      return;
    }
    const part = content.subarray(from);
    const length = { "content-length": part.byteLength };
    if (from === 0) response.writeHead(200, { ...headers, ...length });
    else {
      const span = `bytes ${from}-${content.byteLength - 1}/${content.byteLength}`;
      response.writeHead(206, { ...headers, ...length, "content-range": span });
    }
    const limit = fault?.kind === "break" || fault?.kind === "silence" ? fault.afterBytes : part.byteLength;
    const bytes = fault?.kind === "wrong" ? Buffer.from(part).fill(7) : part;
    await this.#stream(response, bytes.subarray(0, limit));
    if (fault?.kind === "break") response.destroy();
    else if (fault?.kind !== "silence") response.end();
  }

  async #stream(response: ServerResponse, bytes: Uint8Array): Promise<void> {
    const { bytesPerSecond } = this.#options;
    const closed = new Promise<void>((resolve) => response.once("close", resolve));
    for (let at = 0; at < bytes.byteLength && !response.destroyed; at += chunkBytes) {
      const chunk = bytes.subarray(at, at + chunkBytes);
      this.bytesSent += chunk.byteLength;
      const isTaken = response.write(chunk);
      if (bytesPerSecond !== undefined) await pause((chunk.byteLength / bytesPerSecond) * 1000);
      else if (!isTaken) await Promise.race([new Promise<void>((resolve) => response.once("drain", resolve)), closed]);
    }
  }

  #sign(repo: string, path: string, expires: string): string {
    return createHmac("sha256", this.#key).update(`${repo} ${path} ${expires}`).digest("hex");
  }
}

function addressOf(server: Server): string {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("the server does not listen");
  return `http://127.0.0.1:${address.port}`;
}

function json(response: ServerResponse, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code: string | null): void {
  const headers = { "content-type": "application/json", ...(code === null ? {} : { "x-error-code": code }) };
  response.writeHead(status, headers).end(JSON.stringify({ error: code ?? "refused" }));
}

/** What repositories keep in LFS, as `.gitattributes` says there. */
function isLarge(path: string, content: Uint8Array): boolean {
  return /\.(?:onnx|onnx[._]data|safetensors|bin|msgpack|pb)$/.test(path) || content.byteLength > 10_000_000;
}

function entryOf(path: string, content: Uint8Array) {
  const size = content.byteLength;
  if (!isLarge(path, content)) return { type: "file", oid: gitId(content), size, path };
  return { type: "file", oid: "1".repeat(40), size, path, lfs: { oid: sha256(content), size, pointerSize: 130 } };
}

export function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function gitId(content: Uint8Array): string {
  return createHash("sha1").update(`blob ${content.byteLength}\0`).update(content).digest("hex");
}
