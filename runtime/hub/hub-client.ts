import { CodedError } from "#contract/errors.ts";
import { type GuardedAnswer, guardedRequest } from "./guarded-request.ts";
import { type AskedOf, PassingFault, refusalError } from "./hub-errors.ts";
import { type HubLimits, type HubSettings, hubEndpoint, hubLimits } from "./hub-settings.ts";
import type { RepositoryReference } from "./repository.ts";
import { withRetries } from "./retries.ts";

/** A file of a repository at one commit. */
export interface HubFile {
  /** `unet/model.onnx` */
  readonly path: string;
  readonly sizeBytes: number;
  /** What its content must have: the SHA-256 of files in LFS, of others the name that Git gives their content. */
  readonly digest: { readonly algorithm: "sha256" | "git-sha1"; readonly hex: string };
}

/** No repository of weights has more; a listing without an end would. */
const maxFiles = 50_000;
const maxAnswerBytes = 32 * 2 ** 20;
const maxPathLength = 500;

/**
 * One repository of the hub. What is asked of its API goes through the hub's own library, over a `fetch` that retries, has
 * limits and names the reason of a refusal. Content is fetched by itself: the library's download starts at the beginning again
 * after each break, has no limit for silence and verifies nothing, and its errors hold the signed addresses of redirects.
 */
export class HubClient {
  readonly #settings: HubSettings;
  readonly #asked: AskedOf;
  readonly #limits: HubLimits;

  private constructor(settings: HubSettings, asked: AskedOf, limits: HubLimits) {
    this.#settings = settings;
    this.#asked = asked;
    this.#limits = limits;
  }

  static async open(
    settings: HubSettings,
    { repo, revision }: RepositoryReference,
    limits: HubLimits = hubLimits,
  ): Promise<HubClient> {
    const endpoint = await hubEndpoint(settings);
    return new HubClient(settings, { repo, revision, endpoint, hasToken: settings.token !== undefined }, limits);
  }

  get limits(): HubLimits {
    return this.#limits;
  }

  get host(): string {
    return new URL(this.#asked.endpoint).host;
  }

  /**
   * The commit that the revision is at now.
   * @throws CodedError MODEL_NOT_FOUND, HUB_REFUSED, HUB_UNREACHABLE
   */
  async commit(signal: AbortSignal): Promise<string> {
    const { modelInfo } = await import("@huggingface/hub");
    const { repo, revision, endpoint } = this.#asked;
    const fetched = this.#apiFetch(signal);
    const { sha } = await modelInfo({
      name: repo,
      revision,
      hubUrl: endpoint,
      additionalFields: ["sha"],
      fetch: fetched,
    });
    if (typeof sha === "string" && /^[0-9a-f]{40}$/.test(sha)) return sha;
    throw new CodedError("HUB_REFUSED", `The hub does not say at which commit ${repo} is.`);
  }

  /** Every file of the repository at a commit. @throws as {@link commit} */
  async files(commit: string, signal: AbortSignal): Promise<HubFile[]> {
    const { listFiles } = await import("@huggingface/hub");
    const { repo, endpoint } = this.#asked;
    const files: HubFile[] = [];
    const listing = { repo, revision: commit, recursive: true, hubUrl: endpoint, fetch: this.#apiFetch(signal) };
    for await (const { type, path, size, oid, lfs } of listFiles(listing)) {
      if (type !== "file") continue;
      const digest =
        lfs !== undefined
          ? ({ algorithm: "sha256", hex: lfs.oid } as const)
          : ({ algorithm: "git-sha1", hex: oid ?? "" } as const);
      files.push(checkedFile({ path, sizeBytes: lfs?.size ?? size, digest }));
      if (files.length > maxFiles)
        throw new CodedError("HUB_REFUSED", `${repo} has more than ${maxFiles} files: that is no model.`);
    }
    return files;
  }

  /**
   * A file's content from a byte on; to be closed. Once: who reads it retries, for it knows how far it has come.
   * @throws PassingFault, CodedError MODEL_NOT_FOUND, HUB_REFUSED
   */
  async content({ path }: HubFile, commit: string, fromByte: number, signal: AbortSignal): Promise<GuardedAnswer> {
    const { repo, endpoint } = this.#asked;
    const address = `${endpoint}/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
    const answer = await this.#request(address, fromByte > 0 ? { range: `bytes=${fromByte}-` } : {}, signal);
    if (answer.status === 200 || answer.status === 206 || answer.status === 416) return answer;
    answer.close();
    // A signed address is good for a while only; the hub gives another.
    if (answer.isElsewhere) throw new PassingFault(`the hub's storage answers ${answer.status}`);
    throw this.#refusal(answer);
  }

  #request(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<GuardedAnswer> {
    const { endpoint } = this.#asked;
    return guardedRequest({ url, endpoint, token: this.#settings.token, headers, signal, idleMs: this.#limits.idleMs });
  }

  #refusal({ status, hubHeaders }: Pick<GuardedAnswer, "status" | "hubHeaders">): CodedError {
    return refusalError({ status, errorCode: hubHeaders.get("x-error-code") }, this.#asked);
  }

  /** For the library's calls: answers are whole, of bounded length, and no refusals. */
  #apiFetch(signal: AbortSignal): typeof fetch {
    return (input) => {
      const url = input instanceof Request ? input.url : String(input);
      return withRetries({ limits: this.#limits, host: this.host, signal }, async () => {
        const answer = await this.#request(url, { accept: "application/json" }, signal);
        try {
          if (answer.status !== 200) throw this.#refusal(answer);
          const content = await bounded(answer.body);
          return new Response(content, { status: 200, headers: answer.headers });
        } finally {
          answer.close();
        }
      });
    };
  }
}

async function bounded(body: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.byteLength;
    if (length > maxAnswerBytes)
      throw new CodedError("HUB_REFUSED", `The hub's answer has more than ${maxAnswerBytes} bytes.`);
    parts.push(part);
  }
  const text = Buffer.concat(parts);
  try {
    JSON.parse(text.toString("utf8"));
  } catch (cause) {
    throw new PassingFault("the hub's answer is no JSON", { cause });
  }
  return text;
}

/** A path goes into a folder here, so that the server does not say where. @throws CodedError HUB_REFUSED */
function checkedFile(file: HubFile): HubFile {
  const { path, sizeBytes, digest } = file;
  const segments = path.split("/");
  const isPlain =
    path.length <= maxPathLength &&
    !/[\\:\p{Cc}]/u.test(path) &&
    segments.every((segment) => segment !== "" && segment !== "." && segment !== "..");
  const isKnown = Number.isSafeInteger(sizeBytes) && sizeBytes >= 0;
  const isDigest = (digest.algorithm === "sha256" ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(digest.hex);
  if (isPlain && isKnown && isDigest) return file;
  throw new CodedError("HUB_REFUSED", `The hub lists a file that cannot be fetched safely: ${JSON.stringify(path)}.`);
}
