import { relative, sep } from "node:path";
import process from "node:process";
import { z } from "zod";
import type { ErrorReport } from "#contract/errors.ts";
import type { JobResult } from "#runtime/sources/job-source.ts";
import type { PlannedJob } from "../job/build-job.ts";
import { bad, note, noteIgnored, type OutputOptions, printResult } from "../output.ts";
import { stepText } from "./progress-view.ts";
import type { RunEnd, RunOutcome } from "./run-outcome.ts";
import type { SavedAsset } from "./save-assets.ts";

/** Prints what became of the job: the files' names (or, without files, the text, or else the metadata) on standard output, the rest beside it. */
export function reportRun(
  options: OutputOptions,
  { job, unread }: Pick<PlannedJob, "job" | "unread">,
  { end, saved, seconds, stages, children }: RunOutcome,
): void {
  const error = errorOf(end);
  const { metadata, text } = resultOf(end);
  const ofChildren = children.map(({ planned, ...outcome }) => ({
    type: planned.job.type,
    ...outcomeJson(planned.job.id, outcome),
  }));
  printResult(
    options,
    {
      ...outcomeJson(job.id, { end, saved }),
      ...unread,
      ...(children.length === 0 ? {} : { children: ofChildren }),
    },
    [{ end, saved }, ...children]
      .map(outcomeText)
      .filter((each) => each !== "")
      .join("\n"),
  );
  noteIgnored(options, { ...unread, ignored: [...unread.ignored, ...unused(metadata, unread.ignored)] });
  if (error !== null && !options.json) note(`${bad("error:")} ${error.message}`);
  if (end.status === "cancelled") note(cancelledText(end));
  if (!options.json)
    for (const { planned, end: childEnd } of children) {
      const why = errorOf(childEnd);
      if (why !== null) note(`${bad("error:")} child ${planned.job.type} ${planned.job.id}: ${why.message}`);
    }
  if (end.status !== "completed" || options.json) return;
  for (const sentence of cutTexts(metadata)) note(sentence);
  note(completedText(saved, seconds, text));
  if (children.length > 0) note(childrenText(children));
  const parts = stagesText(stages);
  if (parts !== "") note(parts);
}

function resultOf(end: RunEnd): Partial<JobResult> & Pick<JobResult, "metadata"> {
  return end.status === "completed" ? end.result : { metadata: {} };
}

type Outcome = Pick<RunOutcome, "end" | "saved">;

function outcomeJson(jobId: string, { end, saved }: Outcome) {
  const { metadata, text } = resultOf(end);
  const error = errorOf(end);
  return {
    job_id: jobId,
    status: end.status === "undelivered" ? "failed" : end.status,
    assets: saved,
    ...(text === undefined ? {} : { text }),
    metadata,
    error: error === null ? null : { code: error.code, message: error.message },
  };
}

function outcomeText({ end, saved }: Outcome): string {
  if (end.status !== "completed") return "";
  const { metadata, text } = resultOf(end);
  if (saved.length > 0) return saved.map(({ file }) => shortPath(file)).join("\n");
  return text ?? JSON.stringify(metadata, null, 2);
}

function errorOf(end: RunEnd): ErrorReport | null {
  return end.status === "failed" || end.status === "undelivered" ? end.error : null;
}

function cancelledText({ step, total }: Extract<RunEnd, { status: "cancelled" }>): string {
  return `cancelled ${total > 0 ? `at ${stepText(step, total)}` : "before the first step"}; nothing was kept`;
}

/** Fields that only the handler could know to be of no use for this job, by what it reports: names of parameters alone. */
function unused({ ignored }: Readonly<Record<string, unknown>>, known: readonly string[]): string[] {
  const names = z.array(z.string()).safeParse(ignored).data ?? [];
  return names.filter((name) => !known.some((one) => one === name || one === `config.${name}`));
}

/** Prompts that are longer than what the model reads. */
function cutTexts(metadata: Readonly<Record<string, unknown>>): string[] {
  return [
    ["prompt", metadata.prompt_tokens_cut],
    ["negative prompt", metadata.negative_prompt_tokens_cut],
  ].flatMap(([name, cut]) =>
    typeof cut === "number" && cut > 0 ? [`the ${name} was cut: the model does not read its last ${cut} tokens`] : [],
  );
}

/** Stages that took long enough to matter, in their order: `load 0.4 s, denoise 8.2 s, encode video 1.1 s`. */
function stagesText(stages: ReadonlyMap<string, number>): string {
  return [...stages]
    .filter(([, seconds]) => seconds >= 0.05)
    .map(([name, seconds]) => `${name.replaceAll("_", " ")} ${seconds.toFixed(1)} s`)
    .join(", ");
}

function completedText(saved: readonly SavedAsset[], seconds: number, text: string | undefined): string {
  if (saved.length === 0 && text !== undefined) return `completed in ${seconds.toFixed(1)} s`;
  const files = saved.length === 1 ? "1 file" : `${saved.length} files`;
  const seeds = saved.flatMap(({ seed }) => (seed === null ? [] : [seed]));
  const with_ = seeds.length === 0 ? "" : `, seed ${seeds.join(", ")}`;
  return `completed in ${seconds.toFixed(1)} s: ${files}${with_}`;
}

function childrenText(children: RunOutcome["children"]): string {
  const completed = children.filter(({ end }) => end.status === "completed").length;
  const files = children.reduce((sum, { saved }) => sum + saved.length, 0);
  return `${completed} of ${children.length} ${children.length === 1 ? "child" : "children"} completed: ${files} ${files === 1 ? "file" : "files"}`;
}

/** Relative where that is the shorter way to say it. */
function shortPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith(`..${sep}`) ? file : path;
}
