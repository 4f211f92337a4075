import { readFileSync } from "node:fs";
import { z } from "zod";

/** The version in package.json, as reported by `/health`, callbacks and `ourvidz --version`. */
export const workerVersion: string = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))).version;
