import { jobTypes } from "#contract/job-types.ts";
import { writeMigration } from "./generated-migration.ts";

/** Name of the migrations that bring the table of job types up to date. */
export const jobTypesSubject = "job_types";

/** The migration's text, from the contract's table. A bucket that a deployment has set itself is kept. */
export function jobTypesSql(): string {
  const rows = Object.entries(jobTypes).map(([type, { worker, contentType, fileExtension, expectedSeconds }]) => {
    const texts = [type, worker, contentType, fileExtension].map((text) => `'${text}'`);
    return `  (${[...texts, expectedSeconds ?? "null", `'${type}'`].join(", ")})`;
  });
  return `-- Written by tools/supabase/job-types-sql.ts from supabase/functions/_shared/job-types.ts: do not edit.

insert into ourvidz.job_types (type, worker, content_type, file_extension, expected_seconds, bucket) values
${rows.join(",\n")}
on conflict (type) do update
  set worker = excluded.worker, content_type = excluded.content_type, file_extension = excluded.file_extension,
      expected_seconds = excluded.expected_seconds;
`;
}

if (import.meta.main) await writeMigration(jobTypesSubject, jobTypesSql(), new Date());
