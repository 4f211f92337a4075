import { join } from "node:path";
import { extensionOf } from "./limits.ts";
import type { Content } from "./write-content.ts";

export interface InputRequest {
  readonly url: string;
  /** Whose job it is. */
  readonly userId: string;
  /** The file becomes `<folder>/<name>.<extension>`. */
  readonly folder: string;
  readonly name: string;
  readonly signal: AbortSignal;
}

/** A reference file in the attempt's folder. */
export interface FetchedFile extends Content {
  /** Absolute path. */
  readonly file: string;
}

export function fileFor({ folder, name }: InputRequest, { mimeType }: Pick<Content, "mimeType">): string {
  return join(folder, `${name}.${extensionOf[mimeType]}`);
}
