import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

/*
 * Whether the usual generators take a container's /openapi.json, and what they make of it compiles in a program that uses it.
 * They are fetched by npx (100 MB), which is why no test runs them:
 *
 *   npm run check:generators                                  # asks http://127.0.0.1:7860/openapi.json
 *   npm run check:generators -- https://worker.example/openapi.json --key …
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { key: { type: "string" }, keep: { type: "boolean", default: false } },
});
const [address = "http://127.0.0.1:7860/openapi.json"] = positionals;

const compiler = "typescript@5.9.3";
const compilerOptions = {
  noEmit: true,
  strict: true,
  target: "es2023",
  lib: ["es2023", "dom", "dom.iterable"],
  module: "esnext",
  moduleResolution: "bundler",
  types: [],
};

interface Generator {
  readonly name: string;
  readonly packages: readonly string[];
  readonly command: readonly string[];
  /** A program that hands in a job by what was generated, and has one mistake that must not compile. */
  readonly use: string;
}

const mistake = "// @ts-expect-error a word is no number of steps";
const job = '{ type: "sdxl_image_fast", prompt: "a lighthouse at dawn", config: { num_images: 3 } }';
const wrong = '{ type: "sdxl_generate", prompt: "a lake", config: { num_inference_steps: "two", guidance_scale: 7 } }';

const generators: readonly Generator[] = [
  {
    name: "openapi-typescript",
    packages: ["openapi-typescript@7.13.0", compiler],
    command: ["openapi-typescript", "openapi.json", "--default-non-nullable=false", "-o", "openapi-typescript.ts"],
    use: `import type { components } from "./openapi-typescript";
export const job: components["schemas"]["NewJob"] = ${job};
export const codeOf = ({ code }: components["schemas"]["Error"]): "QUEUE_FULL" | string => code;
${mistake}
export const bad: components["schemas"]["NewJob"] = ${wrong};
`,
  },
  {
    name: "orval",
    packages: ["orval@8.38.0", compiler],
    command: ["orval", "--input", "openapi.json", "--output", "orval.ts", "--client", "fetch"],
    use: `import { postJobs } from "./orval";
export const answer = await postJobs(${job});
export const id: string = answer.status === 202 ? answer.data.job_id : "";
${mistake}
await postJobs(${wrong});
`,
  },
  {
    name: "@hey-api/openapi-ts",
    packages: ["@hey-api/openapi-ts@0.99.0", compiler],
    command: ["openapi-ts", "-i", "openapi.json", "-o", "hey-api", "-c", "@hey-api/client-fetch"],
    use: `import { getJobsIdEvents, postJobs } from "./hey-api";
const { data, error } = await postJobs({ body: ${job} });
export const id: string = data?.job_id ?? error?.error ?? "";
export const { stream } = await getJobsIdEvents({ path: { id } });
${mistake}
await postJobs({ body: ${wrong} });
`,
  },
];

const folder = await mkdtemp(join(tmpdir(), "ourvidz-generators-"));
try {
  await writeFile(join(folder, "openapi.json"), await fetchDocument());
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  for (const generator of generators) await check(generator);
} finally {
  if (!values.keep) await rm(folder, { recursive: true });
}

async function check({ name, packages, command, use }: Generator): Promise<void> {
  const program = `use-${name.replace(/\W+/g, "-")}.ts`;
  await writeFile(join(folder, program), use);
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [program] }));
  const failure = (await failureOf(packages, command)) ?? (await failureOf(packages, ["tsc"]));
  if (failure !== null) process.exitCode = 1;
  process.stdout.write(`${name}: ${failure === null ? "compiles" : `FAILED\n${failure}`}\n`);
}

async function failureOf(packages: readonly string[], command: readonly string[]): Promise<string | null> {
  const args = ["--yes", ...packages.flatMap((each) => ["--package", each]), "--", ...command];
  try {
    await promisify(execFile)("npx", args, { cwd: folder, maxBuffer: 16 * 1024 * 1024 });
    return null;
  } catch (error) {
    const { stdout = "", stderr = "", message = "" } = Object(error);
    return `${stdout}${stderr}` || message;
  }
}

async function fetchDocument(): Promise<string> {
  const headers = new Headers(values.key === undefined ? {} : { Authorization: `Bearer ${values.key}` });
  const response = await fetch(address, { headers });
  if (!response.ok)
    throw new Error(`${address} answered ${response.status}: is a container there, and is --key needed?`);
  return await response.text();
}
