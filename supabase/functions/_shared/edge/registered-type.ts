import { z } from "zod";
import { toErrorReport } from "../errors.ts";
import type { FieldProblem, Job } from "../job.ts";
import { isJobType } from "../job-types.ts";
import { parseWith } from "../problems.ts";
import type { CallOfAnybody } from "./edge-function.ts";

const row = z.object({ parameters: z.record(z.string(), z.unknown()).nullable() });

/**
 * What is wrong with the `config` of a job whose type a container has registered, by the JSON Schema that came with it. Nothing
 * for types of the contract, which have schemas of their own, and for types that nobody has registered.
 *
 * @throws CodedError DATABASE_UNREACHABLE
 */
export async function registeredTypeProblems(
  { database, log }: Pick<CallOfAnybody, "database" | "log">,
  job: Job,
): Promise<readonly FieldProblem[]> {
  if (isJobType(job.type)) return [];
  const columns = "parameters";
  const where = { column: "type", equals: job.type };
  const [known] = await database.rows({ table: "ourvidz_job_types", columns, where, limit: 1 }, row);
  const schema = known?.parameters === null ? null : schemaFrom(known?.parameters, job.type, log);
  if (schema === null) return [];
  const parsed = parseWith(z.object({ config: schema }), { config: job.config });
  return parsed.ok ? [] : parsed.problems;
}

/** Null for one that this version cannot read: the container checks the job all the same. */
function schemaFrom(
  written: Readonly<Record<string, unknown>> | undefined,
  type: string,
  log: CallOfAnybody["log"],
): z.ZodType | null {
  if (written === undefined) return null;
  try {
    return z.fromJSONSchema(written);
  } catch (error) {
    log.warn({ type, error: toErrorReport(error).message }, "the registered schema of a job type cannot be read");
    return null;
  }
}
