import { join } from "node:path";
import { type FolderFile, filesIn } from "#runtime/lib/folder-files.ts";
import { classNameOf } from "./class-name.ts";
import { type ModelKind, modelKind } from "./model-kinds.ts";
import { readOnnxFile } from "./onnx-file.ts";

/** A folder of a model: a component, or configs. */
export interface ModelPart {
  readonly name: string;
  readonly sizeBytes: number;
  /** Bytes of weights by data type; empty without ONNX files. */
  readonly weightBytes: Readonly<Record<string, number>>;
}

export interface ModelFacts {
  /** Null for what does not say what it is. */
  readonly kind: ModelKind | null;
  readonly parts: readonly ModelPart[];
}

/** What a model's folder consists of, of headers alone. @throws file system errors when the folder cannot be read */
export async function modelFacts(folder: string): Promise<ModelFacts> {
  const byPart = Map.groupBy(await filesIn(folder), ({ name }) =>
    name.includes("/") ? name.split("/", 1)[0] : undefined,
  );
  const className = await classNameOf(folder);
  const kind = className === null ? null : modelKind(className);
  const parts: ModelPart[] = [];
  for (const [name, files] of kind?.loadsOne ? precisionsOf(byPart) : byPart)
    if (name !== undefined) parts.push(await partOf(folder, name, files));
  return { kind, parts };
}

/** Each ONNX file with the weights that lie beside it under its name. */
function precisionsOf(byFolder: ReadonlyMap<string | undefined, readonly FolderFile[]>): [string, FolderFile[]][] {
  const files = [...byFolder.values()].flat();
  const graphs = files.filter(({ name }) => name.endsWith(".onnx"));
  return graphs.map(({ name }) => [name, files.filter((file) => file.name.startsWith(name))]);
}

async function partOf(folder: string, name: string, files: readonly FolderFile[]): Promise<ModelPart> {
  const weightBytes: Record<string, number> = {};
  for (const { name: file, sizeBytes } of files) {
    if (sizeBytes === null || !file.endsWith(".onnx")) continue;
    const found = await readOnnxFile(join(folder, file));
    for (const [type, count] of found.weightBytes) weightBytes[type] = (weightBytes[type] ?? 0) + count;
  }
  return { name, sizeBytes: files.reduce((sum, file) => sum + (file.sizeBytes ?? 0), 0), weightBytes };
}

/** Without arithmetic of their own on a CPU: they become float32 when they are loaded. */
const widened = new Set(["float16", "bfloat16"]);

/** Bytes of memory that weights take, all of them loaded. */
export function memoryOf(parts: readonly Pick<ModelPart, "weightBytes">[], device: "cpu" | "gpu"): number {
  const entries = parts.flatMap(({ weightBytes }) => Object.entries(weightBytes));
  return entries.reduce((sum, [type, count]) => sum + count * (device === "cpu" && widened.has(type) ? 2 : 1), 0);
}

/** Bytes of memory that the weights of a model take: of one in several precisions, those of the largest. */
export function modelMemory({ kind, parts }: ModelFacts, device: "cpu" | "gpu"): number {
  if (!kind?.loadsOne) return memoryOf(parts, device);
  return Math.max(0, ...parts.map((part) => memoryOf([part], device)));
}
