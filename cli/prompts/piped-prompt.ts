import process from "node:process";
import { usageError } from "../errors.ts";

/** As the word of a prompt that is to be read from standard input. */
const piped = "-";
/** A whole job has no more. */
const maxBytes = 1_000_000;

/**
 * The words of a prompt, with `-` alone as what is piped in.
 * @throws CodedError INVALID_REQUEST when that is empty, longer than a job may be, or not UTF-8
 */
export async function withPipedPrompt(words: readonly string[]): Promise<readonly string[]> {
  return words.length === 1 && words[0] === piped ? [await pipedText()] : words;
}

/** All that is piped in as one text, without white space around it: pipes end their text with a line break. */
export async function pipedText(input: AsyncIterable<Uint8Array> = process.stdin): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) throw usageError("Standard input has more than 1,000,000 bytes: pipe in a shorter text.");
  }
  const text = decoded(Buffer.concat(chunks)).trim();
  if (text === "") throw usageError("Standard input is empty: pipe a text in, or give it as a word.");
  return text;
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw usageError("Standard input is not UTF-8: convert it, for example by `iconv -f latin1 -t utf-8`.");
  }
}
