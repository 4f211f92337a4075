import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants } from "node:fs/promises";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import process from "node:process";

/* What tests that start a real server need from the machine: a free port, its program, and a way to install it. */

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("no port to listen on");
  return address.port;
}

/** Finds a program on the PATH, or in one of these folders. */
export async function findProgram(name: string, folders: readonly string[] = []): Promise<string | undefined> {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), ...folders]) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/**
 * Installs a Debian package, where we are root on a Debian machine. Test files that start at the same time wait for
 * each other's installation.
 *
 * @param what in words, for whoever has to install it by hand
 */
export async function installPackage(name: string, what: string): Promise<void> {
  if (process.getuid?.() !== 0 || (await findProgram("apt-get")) === undefined) {
    throw new Error(`The tests need ${what}: install it so that it is on the PATH.`);
  }
  const apt = ["-o", "DPkg::Lock::Timeout=300", "-qq"];
  await execute("apt-get", [...apt, "update"]);
  await execute("apt-get", [...apt, "install", "--yes", "--no-install-recommends", name]);
}

export async function execute(
  command: string,
  args: readonly string[],
  identity: { readonly uid?: number; readonly gid?: number } = {},
): Promise<void> {
  const child = spawn(command, args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    ...identity,
  });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}`);
}
