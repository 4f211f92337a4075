import { isIP } from "node:net";
import { type ErrorCode, PermanentError } from "#contract/errors.ts";
import { addressProblem, type Reach } from "./address-policy.ts";

/** An address that may be requested, as far as can be known before its host is resolved. */
export interface Target {
  readonly url: URL;
  readonly reach: Reach;
}

export interface AddressGuardOptions {
  /** `host` or `host:port`, in lower case. */
  readonly allowedHosts: readonly string[];
  /** The app's own project: its storage may be anywhere, as the operator has named it. */
  readonly projectUrl: string | null;
  /** What is requested; a reference file when absent. */
  readonly words?: GuardWords;
}

/** How refusals of a kind of address are worded. */
export interface GuardWords {
  readonly code: ErrorCode;
  /** Such as "reference file". */
  readonly what: string;
  /** The variable by which the operator names hosts. */
  readonly variable: string;
  /** What is to be done about an address that is none of a server, without the full stop. */
  readonly otherWay: string;
  readonly example: string;
}

const inputWords: GuardWords = {
  code: "INPUT_REFUSED",
  what: "reference file",
  variable: "INPUT_HOSTS_ALLOWED",
  otherWay:
    "is no way to fetch a file. Use a public https address, or upload the file (POST /inputs) and name its input: address",
  example: "https://files.example/a.png",
};

const maxUrlCharacters = 8192;
const storagePaths = ["/storage/v1/object/", "/storage/v1/render/image/"];

/** Decides which addresses may be fetched. Redirects pass through it like the first address. */
export class AddressGuard {
  readonly #allowedHosts: ReadonlySet<string>;
  readonly #storage: readonly string[];
  readonly #words: GuardWords;

  constructor({ allowedHosts, projectUrl, words = inputWords }: AddressGuardOptions) {
    this.#words = words;
    this.#allowedHosts = new Set(allowedHosts);
    this.#storage = projectUrl === null ? [] : storagePaths.map((path) => new URL(projectUrl + path).href);
  }

  /**
   * @param base the address that redirected here
   * @throws PermanentError INPUT_REFUSED, or the code of its words
   */
  check(text: string, base?: URL): Target {
    if (text.length > maxUrlCharacters)
      throw this.#refused(`it is longer than ${maxUrlCharacters} characters`, publicAddress);
    const url = URL.parse(text, base?.href);
    if (url === null) throw this.#refused(`it is not an address such as ${this.#words.example}`, publicAddress);
    url.hash = "";
    const named = this.#isNamed(url);
    if (url.username !== "" || url.password !== "") {
      throw this.#refused("it contains a user name or a password", "Use an address without them", url);
    }
    // As it was written: put together again from its parts, it would be an address that nobody has given.
    if (url.protocol !== "https:" && url.protocol !== "http:")
      throw this.#noWay(url.protocol, base === undefined ? text : url.href);
    if (!named && url.protocol === "http:") throw this.#refused("it is not https", this.#otherwiseNamed, url);
    if (!named && url.port !== "") {
      throw this.#refused(`it has the port ${url.port}, not the usual one`, this.#otherwiseNamed, url);
    }
    const target: Target = { url, reach: named ? "private" : "public" };
    const literal = hostOf(url);
    if (isIP(literal) !== 0) this.checkAddresses(target, [literal]);
    else if (!named && /(?:^|\.)localhost\.?$/.test(literal)) this.checkAddresses(target, ["127.0.0.1"]);
    return target;
  }

  /**
   * All addresses of a host must be right: a mixture of public and private ones is what an attack looks like.
   * @throws PermanentError INPUT_REFUSED, or the code of its words
   */
  checkAddresses({ url, reach }: Target, addresses: readonly string[]): void {
    for (const address of addresses) {
      const problem = addressProblem(address, reach);
      if (problem === null) continue;
      throw this.#refused(`its host is not on the public internet (${problem})`, this.#otherwiseNamed, url);
    }
  }

  /** What helps where an address is refused because of its host. */
  get #otherwiseNamed(): string {
    return `${publicAddress}, or let the operator add the host to ${this.#words.variable}`;
  }

  /** @param advice what to do, without the full stop */
  #refused(why: string, advice: string, url?: URL): PermanentError {
    const { what, code } = this.#words;
    const which = url === undefined ? `A ${what}'s address` : `The ${what} ${shownUrl(url)}`;
    return new PermanentError(`${which} is refused: ${why}. ${advice}.`, { code });
  }

  #noWay(protocol: string, written: string): PermanentError {
    const { what, code, otherWay } = this.#words;
    const plain = written.trim().replace(/[?#].*$/s, "");
    const shown = plain.length > maxOtherCharacters ? `${plain.slice(0, maxOtherCharacters)}…` : plain;
    return new PermanentError(`The ${what} ${shown} is refused: ${protocol} ${otherWay}.`, { code });
  }

  #isNamed(url: URL): boolean {
    const port = url.port || (url.protocol === "https:" ? "443" : "80");
    return (
      this.#allowedHosts.has(url.hostname) ||
      this.#allowedHosts.has(`${url.hostname}:${port}`) ||
      this.#storage.some((prefix) => url.href.startsWith(prefix))
    );
  }
}

/** The host's name or address, without the brackets that URLs put around IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}

const maxShownCharacters = 200;
/** Of what is no address of a server, the beginning says enough. */
const maxOtherCharacters = 40;

/** An address for messages and logs: without its query, which is where tokens are, and without credentials. */
export function shownUrl(url: URL): string {
  const text = `${url.protocol}//${url.host}${url.pathname}`;
  return text.length > maxShownCharacters ? `${text.slice(0, maxShownCharacters)}…` : text;
}

const publicAddress = "Use a public https address";
