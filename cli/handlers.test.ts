import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { runCli, temporaryFolder } from "./testing/run-cli.ts";

/* What the author of a handler reads when its file cannot be loaded: here by a real Node.js, which a test runner is not. */

const zod = JSON.stringify(fileURLToPath(import.meta.resolve("zod")));
const contract = JSON.stringify(fileURLToPath(new URL("../supabase/functions/_shared/handler.ts", import.meta.url)));

/** File, its text, the place of its fault and a part of the reason. */
const broken = [
  [
    "no_typescript",
    "const a = 1;\nexport default { run: async () => { const x = ; } };",
    "2:47",
    "Expression expected",
  ],
  ["an_enum", "\nenum Size { Small }\nexport default Size;", "2:1", "enum is not supported"],
  ["name_twice", "const a = 1;\n  const a = 2;\nexport default a;", "2:9", "'a' has already been"],
  ["not_imported", "function draw() {\n  return drawn();\n}\nexport default draw();", "2:3", "drawn is not defined"],
  ["no_file", 'import {\n  a,\n} from "./gone.ts";\nexport default a;', "3:8", "Cannot find module"],
  ["no_alias", 'import "#pipelines/gone.ts";\nexport default 1;', "1:8", "gone.ts"],
  ["no_package", 'export { a } from "no-such-package/a";', "1:19", "no-such-package"],
  ["no_export", 'import { join as a, glue } from "node:path";\nexport default a;', "1:21", "'glue'"],
  ["no_schema", `import { z } from ${zod};\nexport default z.strin();`, "2:18", "z.strin is not a function"],
  [
    "wrong_schema",
    `import { z } from ${contract};\nexport default z.object({ a: 1 }).parse({});`,
    "2:35",
    "expected a Zod schema",
  ],
] as const;

const sizes = "const sizes: number[][] = [];\nexport const first = sizes[0].length;\n";

const printed = z.object({ problems: z.array(z.object({ problem: z.string(), frame: z.string().optional() })) });

let folder: string;
let handlers: string;
let problems: z.output<typeof printed>["problems"];

beforeAll(async () => {
  folder = await temporaryFolder();
  handlers = join(folder, "handlers");
  const files = [
    ...broken.map(([type, text]) => [`${type}.ts`, text] as const),
    ["shared/sizes.ts", sizes] as const,
    ["elsewhere.ts", 'import { first } from "./shared/sizes.ts";\nexport default first;\n'] as const,
    [
      "sound.ts",
      `import { z } from ${zod};\nexport default { type: "sound", worker: "media", produces: "nothing", input: z.any(), retry: { maxAttempts: 1, timeoutSeconds: 5 }, run: async () => ({}) };\n`,
    ] as const,
  ];
  for (const [name, text] of files) {
    await mkdir(dirname(join(handlers, name)), { recursive: true });
    await writeFile(join(handlers, name), text);
  }
  const { exitCode, stdout } = await runCli(folder, ["handlers", "--handlers", handlers, "--json"]);
  expect(exitCode).toBe(1);
  ({ problems } = printed.parse(JSON.parse(stdout)));
});

test.each(broken)("%s: line and column, with the lines around", (type, text, place, reason) => {
  const path = join(handlers, `${type}.ts`);
  const found = problems.find(({ problem }) => problem.startsWith(path));
  expect(found?.problem).toContain(`${path}:${place}: `);
  expect(found?.problem).toContain(reason);
  const [line = 0, column = 0] = place.split(":").map(Number);
  const shown = found?.frame?.split("\n") ?? [];
  const marked = shown.findIndex((row) => row.startsWith(">"));
  expect(shown[marked]).toBe(`> ${line} | ${text.split("\n")[line - 1]}`);
  expect(shown[marked + 1]).toBe(`    | ${" ".repeat(column - 1)}^`);
});

test("a fault in a file that a handler imports is shown there, also when a job of it is to run", async () => {
  const { stderr, exitCode } = await runCli(folder, ["run", "elsewhere", "hello", "--handlers", handlers]);
  const message = "Cannot read properties of undefined (reading 'length')";
  expect(stderr).toContain(`${join(handlers, "elsewhere.ts")}: ${join(handlers, "shared/sizes.ts")}:2:31: ${message}`);
  expect(stderr).toContain("> 2 | export const first = sizes[0].length;");
  expect(exitCode).toBe(1);
});
