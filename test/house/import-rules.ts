import { hasAlias, type Import } from "./import-graph.ts";

/*
 * Who may import whom. An area is a top folder; the contract is one that lies deeper, because edge functions are
 * deployed with it.
 *
 *   handlers ──► pipelines     client ──► functions/api ◄── functions ──► runtime     pipelines ──► (themselves)
 *      └───────► contract ◄──────┴─────────────┴──────────────┴────────────┘          contract ──► (itself)
 */
const contract = "supabase/functions/_shared";
const edgeFunctions = "supabase/functions";
/** Of routes: what clients and descriptions are made from, without the server. */
const declarations = "functions/api";

type Area = (typeof areas)[number];
const areas = [
  "handlers",
  declarations,
  "functions",
  "runtime",
  "pipelines",
  "cli",
  "client",
  "gateway",
  contract,
  edgeFunctions,
  "examples",
] as const;

/** What an area may import beside itself: an area, or a folder of one. */
const allowed: Readonly<Record<Area, readonly string[]>> = {
  handlers: ["pipelines", contract],
  functions: [declarations, "runtime", contract],
  runtime: [contract],
  pipelines: [],
  cli: ["runtime", "functions", "client", "gateway", contract],
  client: [declarations, contract],
  [declarations]: [contract],
  gateway: ["runtime/observe", "runtime/lib", "runtime/container", contract],
  [contract]: [],
  [edgeFunctions]: [contract],
  // An app of its own, which knows this project by its wire alone.
  examples: [],
};

/** Packages that one file, or one area, alone may import. */
const keptTo: readonly { readonly package: RegExp; readonly within: readonly string[]; readonly why: string }[] = [
  {
    package: /^onnxruntime-node$/,
    within: ["pipelines/core/onnx.ts"],
    why: "only pipelines/core/onnx.ts imports onnxruntime-node",
  },
  {
    package: /^node:process$/,
    within: ["functions", "runtime", "pipelines", "cli", "gateway"],
    why: "a handler reads no environment",
  },
  {
    package: /^node:/,
    within: ["handlers", "functions", "runtime", "pipelines", "cli", "gateway", "examples"],
    why: "the client runs in browsers, the contract and the edge functions on Deno",
  },
];

/** Files that belong to nobody's product: they may import anything. */
export function isTestOrTool(file: string): boolean {
  return /^(test|bench|tools)\/|\.test\.ts$|\/testing\/|^vitest\.config\.ts$/.test(file);
}

function isWithin(file: string, folder: string): boolean {
  return file === folder || file.startsWith(`${folder}/`);
}

/** What a rule says against an import, in a sentence; null when nothing does. */
export function objectionTo(one: Import): string | null {
  return writtenWrong(one) ?? (isTestOrTool(one.from) ? null : importedByWhomItMayNot(one));
}

function importedByWhomItMayNot({ from, to, specifier }: Import): string | null {
  const area = areaOf(from);
  if (area === undefined) return "lies in no folder that import-rules.ts knows";
  const kept = keptTo.find((rule) => rule.package.test(to) && !rule.within.some((folder) => isWithin(from, folder)));
  if (kept !== undefined) return kept.why;
  const target = areaOf(to);
  const isPackage = target === undefined && !/^[.#]/.test(specifier);
  if (isPackage || to === "package.json") return null;
  const isAllowed = target === area || allowed[area].some((folder) => isWithin(to, folder));
  if (isAllowed) return null;
  const others = allowed[area].length === 0 ? "nothing else" : `only ${allowed[area].join(", ")}`;
  return `${area} may import itself and ${others}`;
}

/** What lies within another area stands before it. */
function areaOf(file: string): Area | undefined {
  return areas.find((area) => isWithin(file, area));
}

/** Inside a room paths are relative; from one room to another they go over an alias. */
function writtenWrong({ from, to, specifier }: Import): string | null {
  const isAlias = specifier.startsWith("#");
  const staysInRoom = roomOf(from) === roomOf(to);
  if (isWithin(from, edgeFunctions) && !isTestOrTool(from))
    return isAlias ? "edge functions and the contract know no aliases: write a relative path" : null;
  if (isAlias && staysInRoom) return "it stays in its room: write the path";
  return specifier.startsWith(".") && !staysInRoom && hasAlias(to) ? "the path leaves its room: write the alias" : null;
}

/** A folder whose files know each other's places: `runtime/dispatch`, `pipelines/sdxl`, otherwise the top folder. */
function roomOf(file: string): string {
  if (isWithin(file, edgeFunctions)) return edgeFunctions;
  return file.split("/", /^(runtime|pipelines)\//.test(file) ? 2 : 1).join("/");
}
