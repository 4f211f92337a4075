import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "#test/support/runtime.ts";
import { type CallbackServer, startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { backUp } from "./backup.ts";
import { restore } from "./restore.ts";

/* A data folder is written into an archive while its container works, and made anew elsewhere. */

let folder: string;
let app: CallbackServer;
let container: TestRuntime;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ourvidz-backup-"));
  app = await startCallbackServer();
  container = await startTestRuntime({
    CALLBACK_URL: app.url,
    JOB_CALLBACK_SECRET: app.secret,
    DATA_DIR: join(folder, "data"),
  });
});

afterAll(async () => {
  await container.stop();
  await app.close();
  rmSync(folder, { recursive: true });
});

const configOf = (dataFolder: string) => readConfig({ DATA_DIR: dataFolder }, () => "observer");
const never = new AbortController().signal;
const contents = (archive: string) => execFileSync("tar", ["-tf", archive], { encoding: "utf8" }).trim().split("\n");

it("has every job and file, and what was still to be delivered is delivered from the new place", async () => {
  const done = await container.submit("noop", {}, { user_id: "ann" });
  await container.ended(done);
  app.faults.add({ times: 1000, does: { status: 503 } });
  const held = await container.submit("noop", {}, { user_id: "ann" });
  await expect.poll(async () => (await container.queue.get(held))?.delivery?.step).toBe("report");
  const running = await container.submit("noop", { steps: 1000, step_ms: 100 });
  await untilEvent(container, running, (event) => event.kind === "progress");
  const archive = join(folder, "one.tar");
  const made = await backUp(container.config, archive, never);
  expect(made).toEqual({ file: archive, sizeBytes: readFileSync(archive).length });
  await container.queue.cancel(running);
  expect(readdirSync(container.folder).filter((name) => name.startsWith(".backup-"))).toEqual([]);
  const names = contents(archive);
  expect([names.at(0), names.at(-1)]).toEqual(["backup.json", "checksums.json"]);
  expect(statSync(archive).mode & 0o777).toBe(0o600);
  expect(names).toEqual(expect.arrayContaining(["ourvidz.db", "signing.key"]));

  const elsewhere = join(folder, "elsewhere");
  expect(await restore(configOf(elsewhere), archive, never)).toMatchObject({ dataFolder: elsewhere });
  expect(readFileSync(join(elsewhere, "signing.key"))).toEqual(readFileSync(join(container.folder, "signing.key")));
  const embedded = await openEmbedded(configOf(elsewhere));
  const statuses = await Promise.all([done, held, running].map(async (id) => (await embedded.source.get(id))?.status));
  await embedded.close();
  expect(statuses).toEqual(["completed", "running", "running"]);

  const second = await startCallbackServer();
  const other = await startTestRuntime({
    ...{ DATA_DIR: elsewhere, CALLBACK_URL: second.url, JOB_CALLBACK_SECRET: second.secret, LEASE_SECONDS: "1" },
  });
  onTestFinished(async () => {
    await other.stop();
    await second.close();
  });
  await expect.poll(() => second.known.get(`${held}/1/completed`)?.assets).toHaveLength(1);
  expect(existsSync(other.files.locate("noop", `ann/${held}/0.txt`))).toBe(true);
});

describe("a backup", () => {
  it("is refused where there is nothing to keep, or its name is taken, and leaves nothing behind", async () => {
    const nowhere = join(folder, "nowhere");
    await expect(backUp(configOf(nowhere), join(folder, "a.tar"), never)).rejects.toMatchObject({
      code: "DATA_FOLDER_UNUSABLE",
    });
    expect(existsSync(nowhere)).toBe(false);
    const emptied = join(folder, "emptied");
    mkdirSync(emptied);
    writeFileSync(join(emptied, "ourvidz.db"), "");
    await expect(backUp(configOf(emptied), join(folder, "a.tar"), never)).rejects.toMatchObject({
      code: "DATA_FOLDER_UNUSABLE",
    });
    writeFileSync(join(folder, "taken.tar"), "");
    await expect(backUp(container.config, join(folder, "taken.tar"), never)).rejects.toThrow(
      /exists: give another name/,
    );
    const lost = join(folder, "no-such-folder", "b.tar");
    await expect(backUp(container.config, lost, never)).rejects.toThrow(/There is no folder .*no-such-folder: make it/);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
    expect(readdirSync(container.folder).filter((name) => name.startsWith(".backup-"))).toEqual([]);
  });

  it("removes what one left that was killed days ago", async () => {
    const left = join(container.folder, ".backup-left");
    mkdirSync(left);
    utimesSync(left, new Date(2020, 1, 1), new Date(2020, 1, 1));
    await backUp(container.config, join(folder, "two.tar"), never);
    expect(existsSync(left)).toBe(false);
  });
});

describe("a restore", () => {
  it("never writes into a folder that has something in it", async () => {
    const full = join(folder, "full");
    mkdirSync(full);
    writeFileSync(join(full, "mine"), "");
    await expect(restore(configOf(full), join(folder, "one.tar"), never)).rejects.toThrow(/is not empty \(mine\)/);
    expect(readdirSync(full)).toEqual(["mine"]);
  });

  it("takes nothing that is no backup, and makes no folder then", async () => {
    const empty = join(folder, "empty");
    const missing = restore(configOf(empty), join(folder, "missing.tar"), never);
    await expect(missing).rejects.toThrow(/There is no file .*missing\.tar/);
    execFileSync("tar", [
      "-cf",
      join(folder, "other.tar"),
      "-C",
      fileURLToPath(new URL(".", import.meta.url)),
      "tar.ts",
    ]);
    for (const file of ["other.tar", "no-such.tar"])
      await expect(restore(configOf(empty), join(folder, file), never)).rejects.toMatchObject({
        code: "INVALID_REQUEST",
      });
    expect(existsSync(empty)).toBe(false);
  });
});
