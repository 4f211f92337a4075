import { rm, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { CodedError } from "#contract/errors.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import { exitCodes, usageError } from "../errors.ts";
import { printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { handlerSource, handlerTestSource } from "./templates.ts";

export interface NewHandlerOptions extends GlobalOptions {
  readonly worker: string;
}

const projectFolder = fileURLToPath(new URL("../..", import.meta.url));
const snakeCase = /^[a-z0-9][a-z0-9_]{0,63}$/;

/** The body of `ourvidz new-handler`: writes `<type>.ts` and `<type>.test.ts`, and never over an existing file. */
export async function newHandler(type: string, options: NewHandlerOptions): Promise<number> {
  checkName("The job type's name", type);
  checkName("--worker", options.worker);
  const { handlersFolder } = await readSettings(options, { serves: false });
  const contract = contractSpecifier(handlersFolder);
  const files = [
    { path: join(handlersFolder, `${type}.ts`), content: handlerSource({ type, worker: options.worker, contract }) },
    { path: join(handlersFolder, `${type}.test.ts`), content: handlerTestSource({ type, contract }) },
  ];
  await writeNew(handlersFolder, files);
  const shown = files.map(({ path }) => shortPath(path));
  printResult(
    options,
    { type, worker: options.worker, files: files.map(({ path }) => path) },
    [
      ...shown.map((path) => `wrote ${path}`),
      "",
      `Run it:   npm run ourvidz -- run ${type} "hello"${options.handlers === undefined ? "" : ` --handlers ${shortPath(handlersFolder)}`}`,
      ...(isInProject(handlersFolder) ? [`Test it:  npm test -- ${shown[1]}`] : []),
    ].join("\n"),
  );
  return exitCodes.completed;
}

function checkName(what: string, name: string): void {
  if (snakeCase.test(name)) return;
  throw usageError(
    `${what} is ${JSON.stringify(name)}: it must be snake_case, 1 to 64 of a-z, 0-9 and _, beginning with a letter or digit.`,
  );
}

/** Tests outside of the project's folder are not found by its test runner. */
function isInProject(folder: string): boolean {
  const fromProject = relative(projectFolder, folder);
  return fromProject !== ".." && !fromProject.startsWith(`..${sep}`);
}

/** How a handler in this folder imports the contract: by its alias within the project, else by its path. */
function contractSpecifier(handlersFolder: string): string {
  if (isInProject(handlersFolder)) return "#contract";
  return relative(handlersFolder, join(projectFolder, "supabase/functions/_shared")).split(sep).join("/");
}

interface NewFile {
  readonly path: string;
  readonly content: string;
}

/** Writes all files or none. */
async function writeNew(folder: string, files: readonly NewFile[]): Promise<void> {
  const written: string[] = [];
  try {
    await makeFolder(folder);
    for (const { path, content } of files) {
      await writeFile(path, content, { flag: "wx" });
      written.push(path);
    }
  } catch (error) {
    for (const path of written) await rm(path, { force: true });
    throw writeError(error, folder);
  }
}

function writeError(error: unknown, folder: string): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  if (error.code === "EEXIST" && "path" in error) {
    return usageError(`${String(error.path)} exists already: choose another name, or delete it first.`);
  }
  return new CodedError(
    error.code === "ENOSPC" ? "DISK_FULL" : "INTERNAL",
    `Nothing can be written to the handlers folder ${folder} (${String(error.code)}): make it writable or set HANDLERS_DIR.`,
    { cause: error },
  );
}

function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}
