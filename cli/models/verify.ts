import { inspectModel } from "#runtime/check/models/inspect-model.ts";
import { type PulledRecord, readRecord } from "#runtime/hub/pulled-record.ts";
import { type FileProblem, verifyFile } from "#runtime/hub/verify-model.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { note, printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { namedModel } from "./find-model.ts";

const wordsFor: Readonly<Record<FileProblem["problem"], string>> = {
  missing: "is missing",
  size: "has another size than when it came",
  content: "has another content than when it came",
};

/** The body of `ourvidz models verify`: 1 when a file is not as it came, or the model would not load. */
export async function verify(name: string, options: GlobalOptions): Promise<number> {
  const config = await readSettings(options, { serves: false });
  const model = await namedModel(config, name);
  const [record, { problems }] = await Promise.all([readRecord(model.path), inspectModel(model.path)]);
  const interruption = new Interruption();
  const changed = await changedFiles(model.path, record, options, interruption.signal).finally(() =>
    interruption.close(),
  );
  if (interruption.exitCode !== null) return interruption.exitCode;
  const isFit = changed.length === 0 && problems.length === 0;
  const files = record?.files.length ?? 0;
  const commit = record?.commit ?? null;
  printResult(
    options,
    {
      name: model.name,
      folder: model.path,
      verified: isFit,
      by: record === null ? "structure" : "sha256",
      commit,
      files,
      changed,
      problems,
    },
    summary(isFit, files, changed.length),
  );
  if (!options.json) {
    for (const problem of problems) note(problem);
    if (record !== null && changed.length > 0)
      note(
        `To have it as it was: npm run ourvidz -- models remove ${model.name}, then models pull ${record.repo}@${record.commit} --as ${model.name}`,
      );
  }
  return isFit ? exitCodes.completed : exitCodes.failed;
}

/** What was found until the end, or until it was interrupted. */
async function changedFiles(
  folder: string,
  record: PulledRecord | null,
  { json }: GlobalOptions,
  signal: AbortSignal,
): Promise<FileProblem[]> {
  const changed: FileProblem[] = [];
  try {
    for (const file of record?.files ?? []) {
      const problem = await verifyFile(folder, file, signal);
      if (problem !== null) changed.push(problem);
      if (!json) note(`${file.path} ${problem === null ? "is as it came" : wordsFor[problem.problem]}`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return changed;
}

function summary(isFit: boolean, files: number, changed: number): string {
  if (files === 0) {
    const what = isFit ? "its structure is in order" : "its structure is not in order";
    return `${what}; it was not fetched by this command, so there is nothing to compare its content with`;
  }
  return isFit ? `all ${files} files are as they came` : `${changed} of ${files} files are not as they came`;
}
