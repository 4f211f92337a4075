import { afterAll, beforeAll, expect, test } from "vitest";
import { systemNetwork } from "#runtime/inputs/network.ts";
import { inputsHarness, sha256 } from "#runtime/inputs/testing/harness.ts";
import { startProject, type TestProject, type TestUser } from "./support/supabase/project.ts";

/* A browser's upload: an address from the edge function, the file to the storage, and a container that reads it for its user. */
const harness = inputsHarness();
let project: TestProject;
let ann: TestUser;
let bob: TestUser;

beforeAll(async () => {
  project = await startProject();
  [ann, bob] = [await project.addUser(), await project.addUser()];
}, 120_000);
afterAll(() => project.stop());

const describeFile = (bytes: Uint8Array) => ({
  content_type: "image/png",
  size_bytes: bytes.byteLength,
  sha256: sha256(bytes),
});
const create = (body: unknown, headers: Readonly<Record<string, string>> = ann.headers) =>
  project.call("create-upload", { body, headers });

function read(input: string, userId: string) {
  const supabase = { url: project.door.url, serviceKey: project.door.serviceKey };
  return harness.fetch(input, { userId }, { supabase, network: systemNetwork });
}

test("a file is uploaded without the function seeing it, and is read for its user alone", async () => {
  const { picture } = harness;
  const { status, body } = await create(describeFile(picture));
  const path = `${ann.id}/inputs/${sha256(picture)}.png`;
  expect({ status, body }).toMatchObject({
    status: 200,
    body: { success: true, bucket: "inputs", path, method: "PUT" },
  });
  for (const _again of [1, 2]) {
    const headers = { "Content-Type": "image/png" };
    const sent = await fetch(String(body.upload_url), { method: "PUT", body: new Uint8Array(picture), headers });
    expect(sent.status).toBe(200);
  }
  expect(project.storage.find("inputs", path)).toMatchObject({ sizeBytes: picture.byteLength });
  expect(await read(String(body.input), ann.id)).toMatchObject({ mimeType: "image/png", sha256: sha256(picture) });
  await expect(read(String(body.input), bob.id)).rejects.toMatchObject({ code: "INPUT_NOT_FOUND" });
});

test("another type than the bucket takes is refused by the storage, and another content by the container", async () => {
  const other = Buffer.concat([harness.picture, Buffer.from("more")]);
  const { body } = await create({ ...describeFile(other), sha256: "0".repeat(64) });
  const put = (type: string) =>
    fetch(String(body.upload_url), { method: "PUT", body: new Uint8Array(other), headers: { "Content-Type": type } });
  expect((await put("text/html")).ok).toBe(false);
  expect((await put("image/png")).ok).toBe(true);
  await expect(read(String(body.input), ann.id)).rejects.toMatchObject({ code: "INPUT_INVALID" });
});

test.each([
  [{ content_type: "text/html" }, "content_type"],
  [{ size_bytes: 0 }, "size_bytes"],
  [{ size_bytes: 2 ** 31 }, "at most 52,428,800 for image/png"],
  [{ sha256: "../../bob" }, "sha256"],
  [{ path: "bob/inputs/a.png" }, "path"],
])("is refused: %j", async (wrong, message) => {
  const { status, body } = await create({ ...describeFile(harness.picture), ...wrong });
  expect([status, body.code]).toEqual([400, "INVALID_REQUEST"]);
  expect(body.error).toContain(message);
});

test("a stranger gets no address", async () => {
  expect(await create(describeFile(harness.picture), {})).toMatchObject({
    status: 401,
    body: { code: "UNAUTHORIZED" },
  });
});
