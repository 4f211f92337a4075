import { readFile } from "node:fs/promises";
import { z } from "zod";
import { modelInvalid } from "./errors.ts";

/**
 * Reads and checks a JSON file of a model folder.
 * @returns undefined when there is no such file
 * @throws PipelineError MODEL_INVALID naming the file and every bad field
 */
export async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw modelInvalid(path, "the file cannot be read", error);
  }
  try {
    return schema.parse(JSON.parse(withoutInfinity(text)));
  } catch (error) {
    const problem = error instanceof z.ZodError ? misfits(error) : "the file is not valid JSON";
    throw modelInvalid(path, problem, error);
  }
}

/** Python writes numbers that JSON does not have: `"lambda_min_clipped": -Infinity`. They become null, "no limit". */
function withoutInfinity(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (match) => (match.startsWith('"') ? match : "null"));
}

/** What a file has wrong, each field by its path: `scale.0: must be a number; prediction_type: …`. */
export function misfits(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`))
    .join("; ");
}
