import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { listed } from "#contract/fields.ts";
import { parametersSchema } from "#functions/jobs/job-schema.ts";
import { loadHandlers, type Registry } from "#runtime/job-types/registry.ts";
import { schedulerTable } from "./scheduler-table.ts";

/*
 * The tables of parameters in docs/: what handlers declare, written between `<!-- parameters: <type> … -->` and
 * `<!-- end -->`, and that of schedulers, between `<!-- schedulers -->` and the same.
 *
 *   node tools/generate/parameter-tables.ts
 */
const pathOf = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
export const pagesWithTables: readonly string[] = [pathOf("docs/18-images.md"), pathOf("docs/17-video.md")];

const parameter = z.looseObject({
  enum: z.array(z.union([z.string(), z.number()])).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  multipleOf: z.number().optional(),
  default: z.unknown().optional(),
  "x-synonyms": z.array(z.string()).default([]),
});
type Parameter = z.output<typeof parameter>;

interface Described {
  readonly type: string;
  readonly required: readonly string[];
  readonly properties: Readonly<Record<string, Parameter>>;
}

/** A page with its tables as they are now. */
export async function withTables(page: string): Promise<string> {
  const registry = await loadHandlers(pathOf("handlers"));
  const named = page.replace(
    /(<!-- schedulers -->\n).*?(<!-- end -->)/s,
    (_all, begin: string, end: string) => `${begin}${schedulerTable()}${end}`,
  );
  return named.replace(
    /(<!-- parameters: ([\w ]+) -->\n).*?(<!-- end -->)/gs,
    (_all, begin: string, types: string, end: string) => `${begin}${tableOf(registry, types.trim().split(" "))}${end}`,
  );
}

function tableOf(registry: Registry, types: readonly string[]): string {
  const described = types.map((type) => describe(registry, type));
  const names = new Set(described.flatMap(({ properties }) => Object.keys(properties)));
  const head = ["parameter", "also", "allowed", ...types.map((type) => `\`${type}\``)];
  const rows = [...names].map((name) => [
    `\`${name}\``,
    (described[0]?.properties[name]?.["x-synonyms"] ?? []).map((synonym) => `\`${synonym}\``).join(", "),
    allowedIn(described, name),
    ...described.map((each) => defaultIn(each, name)),
  ]);
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

function describe(registry: Registry, type: string): Described {
  const handler = registry.get(type);
  const schema = handler && parametersSchema(handler);
  if (!schema) throw new Error(`there is no job type ${type} with parameters`);
  const properties = Object.entries(schema.properties).map(([name, each]) => [name, parameter.parse(each)] as const);
  return { type, required: schema.required, properties: Object.fromEntries(properties) };
}

/** What most types allow, and after it those that allow something else. */
function allowedIn(described: readonly Described[], name: string): string {
  const texts = described.flatMap(({ type, properties }) => {
    const found = properties[name];
    return found === undefined ? [] : [{ type, text: allowed(found) }];
  });
  const [usual] = texts;
  const others = texts.filter(({ text }) => text !== usual?.text).map(({ type, text }) => `\`${type}\`: ${text}`);
  return [usual?.text, ...others].join("; ");
}

/** A cell of the table holds no more values than this. */
const maxListed = 12;

function allowed({ enum: values, minimum, maximum, multipleOf = 1 }: Parameter): string {
  if (values !== undefined && values.length > maxListed) return `${values.length} names, see the table of them`;
  if (values !== undefined) return listed(values).replaceAll('"', "`");
  const step = multipleOf > 1 ? ` in multiples of ${multipleOf}` : "";
  return minimum === undefined || maximum === undefined ? "" : `${minimum} to ${shown(maximum)}${step}`;
}

function shown(value: number): string {
  return value === 2 ** 53 ? "2^53" : String(value);
}

function defaultIn({ required, properties }: Described, name: string): string {
  if (required.includes(name)) return "required";
  const fallback = properties[name]?.default;
  if (fallback !== undefined) return String(fallback);
  return name === "seed" ? "random" : "";
}

if (import.meta.main) {
  for (const file of pagesWithTables) writeFileSync(file, await withTables(readFileSync(file, "utf8")));
}
