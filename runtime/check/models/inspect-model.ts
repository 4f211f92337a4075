import { join } from "node:path";
import { type FolderFile, filesIn, maxFiles, signatureOf } from "#runtime/lib/folder-files.ts";
import { externalDataProblem } from "./external-data.ts";
import { planOf, readJson } from "./model-plan.ts";
import { readOnnxFile } from "./onnx-file.ts";

/** What a model's folder consists of and what is wrong with it. */
export interface FolderReport {
  readonly sizeBytes: number;
  readonly components: readonly string[];
  /** What keeps it from loading: sentences that name a file. */
  readonly problems: readonly string[];
  /** What may keep it from loading, depending on the handler. */
  readonly warnings: readonly string[];
  /** Of the files that this was read from. */
  readonly signature: string;
}

/**
 * Reads what loading needs, of headers and small files alone: a model of 10 GB takes milliseconds.
 * @throws file system errors when the folder cannot be read
 */
export async function inspectModel(folder: string): Promise<FolderReport> {
  const files = await filesIn(folder);
  const [there, dead] = [files.filter(({ sizeBytes }) => sizeBytes !== null), files.filter(isDeadOnnx)];
  const names = new Set(there.map(({ name }) => name));
  const onnxFiles = there.filter(({ name }) => name.endsWith(".onnx")).map(({ name }) => join(folder, name));
  const plan = await planOf(folder);
  const missing = plan.required
    .filter((choices) => !choices.some((name) => names.has(name)))
    .map((choices) => `${choices.map((name) => join(folder, name)).join(" or ")} is missing`);
  // One after another: what was read for one file is given back before the next.
  const read: string[][] = [];
  for (const name of plan.configs) if (names.has(name)) read.push(await configProblem(join(folder, name)));
  for (const path of onnxFiles) read.push(await onnxProblems(path));
  const isOther =
    plan.components.length === 0 && plan.problems.length === 0 && !files.some(({ name }) => name.endsWith(".onnx"));
  return {
    sizeBytes: files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0),
    components: plan.components,
    problems: [
      ...new Set([...plan.problems, ...missing, ...dead.map(({ name }) => deadLink(folder, name)), ...read.flat()]),
    ],
    warnings: [
      ...plan.warnings,
      ...(isOther ? [`${folder} holds no model: there is no model_index.json, no config.json and no ONNX file`] : []),
      ...(files.length >= maxFiles ? [`${folder} has ${maxFiles} files or more: the rest was not looked at`] : []),
    ],
    signature: signatureOf(files),
  };
}

function isDeadOnnx({ name, sizeBytes }: FolderFile): boolean {
  return sizeBytes === null && name.endsWith(".onnx");
}

function deadLink(folder: string, name: string): string {
  return `${join(folder, name)} is a link to a file that is not there`;
}

async function configProblem(path: string): Promise<string[]> {
  const file = await readJson(path);
  return file.kind === "invalid" ? [file.problem] : [];
}

async function onnxProblems(path: string): Promise<string[]> {
  try {
    const { problem, external } = await readOnnxFile(path);
    if (problem !== null) return [`${path} ${problem}`];
    const problems = await Promise.all(
      [...external].map(([location, data]) => externalDataProblem(path, location, data)),
    );
    return problems.filter((each) => each !== null);
  } catch (error) {
    // Gone since the folder was listed, or not to be read by this user.
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    return [`${path} cannot be read (${code})`];
  }
}
