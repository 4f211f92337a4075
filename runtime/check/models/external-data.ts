import { readFile, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { bytes } from "#runtime/lib/bytes.ts";
import { lfsPointer, lfsProblem } from "./onnx-file.ts";
import type { ExternalData } from "./onnx-tensor.ts";

/** Weights that a program put into memory before it loads the model; no file. */
const inMemory = "*/_ORT_MEM_ADDR_/*";
/** A pointer of Git LFS has three lines. */
const maxPointerBytes = 1024;

/**
 * What is wrong with a file of weights beside an ONNX file, as ONNX Runtime would find it at loading: it takes relative
 * paths only, none that leaves the ONNX file's folder, and links only where they lead into that folder or, when the ONNX
 * file is a link itself (the cache of Hugging Face's hub), into the folder that holds the real one.
 *
 * @returns a sentence that names the files, null when nothing is wrong
 */
export async function externalDataProblem(
  onnxPath: string,
  location: string,
  { endByte, tensor }: ExternalData,
): Promise<string | null> {
  if (location === inMemory) return null;
  const folder = dirname(onnxPath);
  const path = join(folder, location);
  if (isAbsolute(location) || !isInside(folder, path))
    return `${onnxPath} wants its weights from "${location}", which is outside of its own folder: export it again`;
  const found = await stat(path).catch(() => null);
  if (found === null) return `${path} is missing: it holds the weights of ${onnxPath}`;
  if (!found.isFile()) return `${path} is no file, but ${onnxPath} has its weights there`;
  if (found.size < endByte && found.size < maxPointerBytes && (await readFile(path, "utf8")).startsWith(lfsPointer))
    return `${path} ${lfsProblem}`;
  if (found.size < endByte)
    return `${path} is cut off: it has ${exactly(found.size)}, but the weights "${tensor}" end at ${exactly(endByte)}; download it again`;
  return (await isReachable(onnxPath, path))
    ? null
    : `${path} is a link out of its folder, which ONNX Runtime refuses: put the file itself there, or make ${onnxPath} a link into the same folder`;
}

async function isReachable(onnxPath: string, path: string): Promise<boolean> {
  const [target, folder, onnxFile] = await Promise.all([
    realpath(path),
    realpath(dirname(onnxPath)),
    realpath(onnxPath),
  ]);
  return isInside(folder, target) || isInside(dirname(onnxFile), target);
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** The rounded size alone would read "5.1 GB, but 5.1 GB". */
function exactly(count: number): string {
  return count < 1000 ? `${count} bytes` : `${count} bytes (${bytes(count)})`;
}
