import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { errorCodes, errorStatus } from "#contract/errors.ts";
import { routes } from "#functions/index.ts";
import manifest from "../../package.json" with { type: "json" };

/* What the README and the pages name exists: paths, links, npm scripts, commands, routes and variables. */

const projectFolder = resolve(import.meta.dirname, "../..");
const read = (file: string) => readFileSync(join(projectFolder, file), "utf8");
const all = globSync("**/*", {
  cwd: projectFolder,
  exclude: ["node_modules/**", ".git/**", "dist/**", "data/**", "out/**"],
});
const basenames = new Set(all.map((file) => basename(file)));
const pages = ["README.md", ...all.filter((file) => /^docs\/[^/]*\.md$/.test(file))];

interface Claim {
  readonly page: string;
  readonly text: string;
}

/** Everything that a pattern finds in the pages, by its first group. */
function claims(pattern: RegExp): Claim[] {
  return pages.flatMap((page) => [...read(page).matchAll(pattern)].map(([, text = ""]) => ({ page, text })));
}

/** The claims that do not hold, one a line. */
function wrong(found: readonly Claim[], holds: (text: string, page: string) => boolean): string[] {
  expect(found.length).toBeGreaterThan(0);
  return [...new Set(found.filter(({ page, text }) => !holds(text, page)).map(({ page, text }) => `${page}: ${text}`))];
}

const inlineCode = /(?<!`)`([^`\n]+)`(?!`)/g;

it("every path exists", () => {
  const tops = new Set(all.filter((file) => !file.includes("/")));
  const paths = claims(inlineCode).filter(
    ({ text }) => /^[\w.@-]+(?:\/[\w.@<>*…-]*)+$/.test(text) && tops.has(text.split("/")[0] ?? ""),
  );
  // Of `supabase/functions/<name>/` and `scripts/*.lua`, the part that is written out.
  const written = (text: string) => text.split(/[<*…]/)[0] ?? "";
  const isMade = (text: string) => /^(data|out|dist)\b/.test(text);
  expect(wrong(paths, (text) => isMade(text) || all.some((file) => `${file}/`.startsWith(written(text))))).toEqual([]);
});

it("every source file that is named without its folder exists", () => {
  const names = claims(inlineCode).filter(({ text }) => /^[\w-]+(?:\.test)?\.(?:ts|lua|py|sql)$/.test(text));
  expect(wrong(names, (text) => basenames.has(text))).toEqual([]);
});

it("every link leads to a file, and to a heading in it", () => {
  const links = claims(/\]\((?!https?:)([^)\s]+)\)/g);
  const leads = (target: string, page: string) => {
    const [path = "", heading] = target.split("#");
    const file = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(projectFolder, file))) return false;
    return heading === undefined || anchors(read(file)).includes(heading);
  };
  expect(wrong(links, leads)).toEqual([]);
});

function anchors(markdown: string): string[] {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("what can be run", () => {
  it("every npm script exists", () => {
    const scripts = claims(/\bnpm run ([a-z][\w:-]*)/g);
    expect(wrong(scripts, (name) => Object.hasOwn(manifest.scripts, name))).toEqual([]);
  });

  it("every command of ourvidz exists", () => {
    const commands = all
      .filter((file) => /^cli\/commands\/[\w-]+\.ts$/.test(file))
      .map((file) => basename(file, ".ts"));
    const named = claims(/(?:^|`|run |; ?|\| ?)ourvidz (?:-- )?(?:--\w+ \S+ )*([a-z][a-z-]*)\b/gm);
    expect(wrong(named, (name) => commands.includes(name))).toEqual([]);
  });

  it("no page runs a TypeScript file with a Node.js that may be too old for it", () => {
    expect(claims(/((?<!npx )\bnode [\w/<>]+\.ts)/g)).toEqual([]);
  });
});

it("every route exists", () => {
  const named = pages
    .filter((page) => page !== "docs/8-redis.md")
    .flatMap((page) =>
      [...read(page).matchAll(/`(GET|POST|DELETE|PUT|PATCH) (\/[^`\s?]*)/g)].map(([, method = "", path = ""]) => ({
        page,
        text: `${method} ${path}`,
      })),
    );
  const known = new Set(routes.map(({ method, path }) => `${method} ${path.replaceAll(/:\w+/g, ":")}`));
  const pattern = (text: string) => text.replaceAll(/:\w+|\{\w+\}|<\w+>/g, ":");
  expect(wrong(named, (text) => known.has(pattern(text)))).toEqual([]);
});

it("every error code is explained on the page on what is wrong, once and with its status", () => {
  const rows = [...read("docs/23-troubleshooting.md").matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \| .+ \| .+ \|$/gm)];
  const explained = rows.map(([, code = "", status = ""]) => `${code} ${status}`);
  expect(explained.toSorted()).toEqual(errorCodes.map((code) => `${code} ${errorStatus[code]}`).toSorted());
});

describe("environment variables", () => {
  const sources = all
    .filter((file) => /\.(ts|js|sql|toml|py)$|Dockerfile$|\.env\.example$/.test(file))
    .map(read)
    .join("\n");

  it("every variable and error code that is named is read or thrown somewhere", () => {
    const named = claims(inlineCode).flatMap(({ page, text }) => {
      const name = /^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?$/.exec(text)?.[1];
      return name === undefined ? [] : [{ page, text: name }];
    });
    // What OpenTelemetry's packages and RunPod's platform read themselves, and what a command of the page itself sets, is in no source.
    const elsewhere = ["ANON_KEY", "RUNPOD_ENDPOINT_BASE_URL", "RUNPOD_INIT_TIMEOUT", "HEALTH_CHECK_PATH"];
    const isElsewhere = (name: string) => name.startsWith("OTEL_EXPORTER_") || elsewhere.includes(name);
    expect(wrong(named, (name) => isElsewhere(name) || new RegExp(`\\b${name}\\b`).test(sources))).toEqual([]);
  });

  it(".env.example names no other variables than the page on configuration", () => {
    const example = [...read(".env.example").matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map(([, name = ""]) => name);
    expect(example.length).toBeGreaterThan(10);
    const documented = pages.map(read).join("\n");
    expect(example.filter((name) => !documented.includes(name))).toEqual([]);
  });
});
