import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { stoppedError } from "../job-source.ts";
import { FailureFiles } from "./failure-files.ts";
import { FailurePosts } from "./failure-posts.ts";

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-failures-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

it("a failure whose file is found while its post is under way is posted once", async () => {
  const folder = await temporaryFolder();
  const taken = Promise.withResolvers<boolean>();
  const posted: string[] = [];
  const failures = new FailurePosts({
    posts: {
      failure: () => "{}",
      done: (runpodId) => {
        posted.push(runpodId);
        return taken.promise;
      },
    },
    log: undefined,
    pauseMs: 0,
    files: new FailureFiles(folder),
    onChange: () => undefined,
  });
  await failures.add("a", stoppedError);
  expect(await readdir(folder)).toHaveLength(1);
  await failures.resume();
  taken.resolve(true);
  await failures.close();
  expect(posted).toEqual(["a"]);
  expect(await readdir(folder)).toEqual([]);
});

it("what was left half written is removed, and what is being written is not", async () => {
  const folder = join(await temporaryFolder(), "runpod");
  const files = new FailureFiles(folder);
  expect(await files.all()).toEqual([]);
  await mkdir(folder);
  await writeFile(join(folder, "old.json.part"), "{");
  await utimes(join(folder, "old.json.part"), 0, 0);
  await writeFile(join(folder, "new.json.part"), "{");
  expect(await files.all()).toEqual([]);
  expect(await readdir(folder)).toEqual(["new.json.part"]);
});
