import { execFile } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/* Uploads with the program curl. Times are curl's own, from its first byte: its start is not counted. */
export interface CurlTarget {
  readonly url: string;
  readonly serviceKey: string;
}

const run = promisify(execFile);
const timed = [
  "--silent",
  "--show-error",
  "--fail-with-body",
  "--output",
  "/dev/null",
  "--write-out",
  "%{time_total}\n",
];

/** Seconds for the whole file in one request, as the storage service's standard upload takes it. */
export async function curlWhole({ url, serviceKey }: CurlTarget, file: string): Promise<number> {
  const { stdout } = await run("curl", [
    ...timed,
    ...["--request", "POST", "--upload-file", file, ...headersOf({ serviceKey })],
    ...["--header", "Content-Type: video/mp4"],
    `${url}/storage/v1/object/films/bench/curl/0.mp4`,
  ]);
  return sum(stdout);
}

/** Seconds for the file in parts of 6 MB to the resumable endpoint, over one connection; making the parts is not counted. */
export async function curlParts({ url, serviceKey }: CurlTarget, file: string, sizeBytes: number): Promise<number> {
  const folder = `${file}.parts`;
  await run("mkdir", ["-p", folder]);
  await run("split", ["--bytes", String(6 * 1024 * 1024), file, join(folder, "part-")]);
  try {
    const headers = [...headersOf({ serviceKey }), "--header", "Tus-Resumable: 1.0.0"];
    const metadata = Object.entries({ bucketName: "films", objectName: "bench/parts/0.mp4", contentType: "video/mp4" });
    const encoded = metadata.map(([key, value]) => `${key} ${Buffer.from(value).toString("base64")}`).join(",");
    const created = await run("curl", [
      ...["--silent", "--show-error", "--fail-with-body", "--include", "--request", "POST", ...headers],
      ...["--header", `Upload-Length: ${sizeBytes}`, "--header", `Upload-Metadata: ${encoded}`],
      `${url}/storage/v1/upload/resumable`,
    ]);
    const location = /^location: (\S+)/im.exec(created.stdout)?.[1] ?? "";
    const parts = (await readdir(folder)).sort();
    const requests = parts.flatMap((part, index) => [
      ...(index === 0 ? [] : ["--next"]),
      ...timed,
      ...["--request", "PATCH", "--upload-file", join(folder, part), ...headers],
      ...["--header", "Content-Type: application/offset+octet-stream"],
      ...["--header", `Upload-Offset: ${index * 6 * 1024 * 1024}`],
      location,
    ]);
    return sum((await run("curl", requests)).stdout);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function headersOf({ serviceKey }: Pick<CurlTarget, "serviceKey">): string[] {
  return ["--header", `Authorization: Bearer ${serviceKey}`, "--header", "x-upsert: true", "--header", "Expect:"];
}

function sum(lines: string): number {
  return lines
    .trim()
    .split("\n")
    .reduce((total, line) => total + Number(line), 0);
}
