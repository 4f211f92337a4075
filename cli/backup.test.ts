import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { runCli, startCli, temporaryFolder } from "./testing/run-cli.ts";

/* What is left of a backup or a restore that is ended in the middle. */

let folder: string;
let data: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  data = join(folder, "data");
  const embedded = await openEmbedded(readConfig({ DATA_DIR: data }, () => "observer"));
  await embedded.close();
  expect(await runCli(folder, ["backup", "whole.tar"])).toMatchObject({ exitCode: 0 });
});

const hidden = (path: string) => readdirSync(path).filter((name) => /^\.(?:backup|restore)-|\.part$/.test(name));

/** A file so large that its backup is still under way when it has begun, without room on the disk. */
async function startedBackup() {
  mkdirSync(join(data, "files"), { recursive: true });
  writeFileSync(join(data, "files", "large.mp4"), "");
  truncateSync(join(data, "files", "large.mp4"), 6 * 1024 ** 3);
  onTestFinished(() => truncateSync(join(data, "files", "large.mp4"), 0));
  const backup = startCli(folder, ["backup", "large.tar"]);
  await expect.poll(() => hidden(folder)).toHaveLength(1);
  return backup;
}

test("an interrupted backup leaves nothing and says so; it was nobody else's to read meanwhile", async () => {
  const backup = await startedBackup();
  for (const name of hidden(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  backup.child.kill("SIGINT");
  const ended = await backup.ended;
  expect(ended).toMatchObject({ exitCode: 130, stdout: "", stderr: "error: Interrupted: no backup was made.\n" });
  expect([...hidden(folder), ...hidden(data)]).toEqual([]);
  expect(readdirSync(folder)).not.toContain("large.tar");
});

test("what a killed backup leaves is removed by the next, wherever that writes to", async () => {
  const backup = await startedBackup();
  backup.child.kill("SIGKILL");
  await backup.ended;
  expect([hidden(folder).length, hidden(data).length]).toEqual([1, 1]);
  truncateSync(join(data, "files", "large.mp4"), 0);
  const elsewhere = join(await temporaryFolder(), "next.tar");
  expect(await runCli(folder, ["backup", elsewhere])).toMatchObject({ exitCode: 0 });
  expect([...hidden(folder), ...hidden(data)]).toEqual([]);
});

/** An archive that nothing comes from. */
async function startedRestore(target: string) {
  const pipe = join(folder, `${target}.pipe`);
  execFileSync("mkfifo", [pipe]);
  const restore = startCli(folder, ["restore", pipe, "--data", join(folder, target)]);
  await expect.poll(() => readdirSync(folder).includes(target) && hidden(join(folder, target))).toHaveLength(1);
  return { restore, pipe };
}

test("an interrupted restore leaves nothing and says so", async () => {
  const { restore } = await startedRestore("interrupted");
  restore.child.kill("SIGTERM");
  const ended = await restore.ended;
  expect(ended).toMatchObject({ exitCode: 143, stdout: "", stderr: "error: Interrupted: nothing was restored.\n" });
  expect(readdirSync(folder)).not.toContain("interrupted");
});

test("beside a restore no other is begun into the same folder; after one that was killed it is", async () => {
  const { restore, pipe } = await startedRestore("killed");
  const target = join(folder, "killed");
  const again = () => runCli(folder, ["restore", "whole.tar", "--data", target]);
  expect(await again()).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/Another restore into .* runs/) });
  // Its tar is no longer there to be ended by it: the end of what it reads ends it.
  await expect.poll(() => isRead(pipe)).toBe(true);
  restore.child.kill("SIGKILL");
  await restore.ended;
  expect(await again()).toMatchObject({ exitCode: 0 });
  expect(readdirSync(target)).toEqual(expect.arrayContaining(["ourvidz.db", "signing.key"]));
  expect(hidden(target)).toEqual([]);
});

/** Opens the pipe for writing, which succeeds when somebody reads from it, until the test is over. */
function isRead(pipe: string): boolean {
  try {
    const descriptor = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    onTestFinished(() => closeSync(descriptor));
    return true;
  } catch {
    return false;
  }
}
