import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

export const projectFolder = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

/** A program of the project's packages, run in a folder; returns all that it prints. */
export async function runTool(name: string, args: readonly string[], cwd = projectFolder): Promise<string> {
  const { stdout, stderr } = await runOrThrow(join(projectFolder, "node_modules/.bin", name), args, cwd);
  return `${stdout}${stderr}`;
}

/** A program of this machine; returns its standard output. */
export async function runProgram(name: string, args: readonly string[], cwd: string): Promise<string> {
  return (await runOrThrow(name, args, cwd)).stdout;
}

/** Its output is the reason when it fails. */
async function runOrThrow(name: string, args: readonly string[], cwd: string) {
  try {
    return await run(name, [...args], { cwd, maxBuffer: 16 * 1024 * 1024 });
  } catch (error) {
    const { stdout = "", stderr = "" } = Object(error);
    throw new Error(`${name} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

/** An app of its own that has installed the client, as `npm run build:client` builds it, and its one dependency. */
export async function appWithClient(): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  await run("npm", ["run", "--silent", "build:client"], { cwd: projectFolder });
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-app-"));
  const modules = join(folder, "node_modules");
  await mkdir(modules);
  await cp(join(projectFolder, "dist/client"), join(modules, "ourvidz-client"), { recursive: true });
  await symlink(join(projectFolder, "node_modules/zod"), join(modules, "zod"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
