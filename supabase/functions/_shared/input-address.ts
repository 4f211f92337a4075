import { PermanentError } from "./errors.ts";

/*
 * What a job may name in place of an address on the internet: a file that was uploaded, by its content, or a small file
 * that is in the address itself.
 *
 *   input:<sha256>                   a file that the job's user has uploaded
 *   data:image/png;base64,iVBORw0…   at most 512 KB; doors store it, so that a queue's element stays small
 */

/** In the bucket `inputs` of every store, a user's files are `{user}/inputs/{sha256}.{extension}`. */
export const inputBucket = "inputs";
export const inputFolder = "inputs";

export const maxDataBytes = 512 * 1024;

/** The characters of the largest data address, with what stands before its content. */
export const maxDataCharacters = Math.ceil(maxDataBytes / 3) * 4 + 200;

/** `input:<sha256>` of a file's content, in hexadecimal. */
export function inputAddress(sha256: string): string {
  return `input:${sha256}`;
}

/** The content's hash of an `input:` address; null for any other text. */
export function inputHash(address: string): string | null {
  return /^input:([0-9a-f]{64})$/.exec(address)?.[1] ?? null;
}

/** Whether it means to be the address of an uploaded file, well formed or not. */
export function isInputAddress(text: string): boolean {
  return /^input:/i.test(text);
}

export function isDataAddress(text: string): boolean {
  return /^data:/i.test(text);
}

const fetchedProtocols: readonly string[] = ["https:", "http:"];
const otherWays =
  "or upload the file (POST /inputs; on the command line --input name=@file) and name its input: address";

/**
 * What keeps an address from being any that a file is fetched from, as far as is known without asking anybody; null when nothing
 * does. Which hosts and ports may be named is up to the containers, whose operator may allow more than the public ones.
 */
export function inputAddressProblem(text: string): string | null {
  // These have rules of their own, and may be long.
  if (isDataAddress(text) || isInputAddress(text)) return null;
  const url = URL.parse(text);
  if (url === null || !fetchedProtocols.includes(url.protocol)) return `must be a public https address, ${otherWays}`;
  if (url.username !== "" || url.password !== "") return "must be an address without a user name and a password";
  return null;
}

/**
 * The content of a data address. What it says of its type plays no part.
 * @throws PermanentError INPUT_REFUSED, INPUT_TOO_LARGE
 */
export function readDataAddress(address: string): Uint8Array<ArrayBuffer> {
  const [, parameters, content = ""] = /^data:([^,]{0,200}),(.*)$/is.exec(address) ?? [];
  if (parameters === undefined) throw refused("has no comma before its content");
  if (!/;\s*base64\s*$/i.test(parameters)) throw refused("is not in base64");
  if (content.length > maxDataCharacters) throw tooLarge();
  const bytes = decoded(content);
  if (bytes.byteLength > maxDataBytes) throw tooLarge();
  return bytes;
}

/** Also in the alphabet of URLs, percent-encoded, and without the signs at its end: so do producers write it. */
function decoded(content: string): Uint8Array<ArrayBuffer> {
  try {
    const plain = decodeURIComponent(content).replaceAll(/\s/g, "").replaceAll("-", "+").replaceAll("_", "/");
    const binary = atob(plain);
    const bytes = new Uint8Array(binary.length);
    for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
    return bytes;
  } catch (cause) {
    throw refused("has content that is not base64", cause);
  }
}

function refused(why: string, cause?: unknown): PermanentError {
  const message = `A data: address ${why}: write it as data:image/png;base64,… or upload the file (POST /inputs).`;
  return new PermanentError(message, { code: "INPUT_REFUSED", cause });
}

function tooLarge(): PermanentError {
  const message = `A data: address has more than ${maxDataBytes / 1024} KB: upload the file (POST /inputs), and name its input: address.`;
  return new PermanentError(message, { code: "INPUT_TOO_LARGE" });
}

/** What a field takes, as forms and doors find it in a job type's JSON schema. */
export type InputField = "picture" | "video" | "picture or video" | "weights";
export const inputFieldKey = "x-input";
