import { html, raw } from "hono/html";
import { z } from "zod";
import type { JsonSchema } from "../jobs/job-schema.ts";
import { fileType, type OpenApiDocument, type Operation, type Parameter } from "../openapi/document.ts";
import { componentName, schemaText } from "./schema-text.ts";
import { style } from "./style.ts";

type Html = ReturnType<typeof html>;

interface Entry {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/** The API's description as one page, which needs nothing but itself. */
export function renderDocs(document: OpenApiDocument, server: string): Html {
  const entries = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): Entry => ({ method: method.toUpperCase(), path, operation })),
  );
  const jobTypes = Object.entries(document.components.schemas).filter(([name]) => name.startsWith("job."));
  const others = Object.entries(document.components.schemas).filter(([name]) => !name.startsWith("job."));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${document.info.title} API</title>
<style>${raw(style)}</style>
</head>
<body>
<header>
<h1>${document.info.title}</h1>
<p>${document.info.description} Version ${document.info.version}.</p>
<nav>
${document.tags.map(({ name }) => html`<a href="#${name}">${name}</a>`)}
<a href="#job-types">job types</a>
<a href="#schemas">schemas</a>
<a href="openapi.json">openapi.json</a>
</nav>
</header>
<main>
${document.tags.map(
  ({ name, description }) => html`<h2 id="${name}">${name}</h2>
<p class="quiet">${description}</p>
${entries.filter(({ operation }) => operation.tags.includes(name)).map((entry) => renderOperation(entry, server))}`,
)}
<h2 id="job-types">job types</h2>
<p class="quiet">The fields of a job, by its type. What only code can check is told by the answer: 422 names every bad field.</p>
${jobTypes.map(([name, schema]) => renderSchema(name, schema))}
<h2 id="schemas">schemas</h2>
${others.map(([name, schema]) => renderSchema(name, schema))}
<footer class="quiet">Errors have one shape: <code>{"success": false, "error", "code", "details"}</code>.</footer>
</main>
</body>
</html>`;
}

function renderOperation({ method, path, operation }: Entry, server: string): Html {
  const { parameters = [], requestBody, responses } = operation;
  return html`<details id="${operation.operationId}">
<summary><span class="method">${method}</span><code class="path">${path}</code><span class="quiet">${operation.summary}</span></summary>
<div class="body">
<p>${accessText(operation)}</p>
${operation.description === undefined ? "" : html`<p>${operation.description}</p>`}
${parameters.length === 0 ? "" : html`<h3>Parameters</h3>${table(parameters.map(parameterRow))}`}
${requestBody === undefined ? "" : html`<h3>Body</h3><p>${bodyText(requestBody)}</p>`}
<h3>Answers</h3>
${table(
  Object.entries(responses).map(([status, { description, content = {} }]) => [
    html`<code>${status}</code>`,
    html`${description}`,
    html`${Object.entries(content).map(([type, { schema }]) => html`${type === "application/json" ? "" : `${type}, `}${linked(schema)}`)}`,
  ]),
)}
<h3>Try it</h3>
<pre><code>${curl(method, path, operation, server)}</code></pre>
</div>
</details>`;
}

function renderSchema(name: string, schema: JsonSchema): Html {
  return html`<details id="${name}">
<summary><code class="path">${name.replace(/^job\./, "")}</code><span class="quiet">${String(schema.description ?? "")}</span></summary>
<div class="body">${Array.isArray(schema.oneOf) ? html`<p>One of ${schema.oneOf.map((each) => html`${linked(each)} `)}</p>` : table(fieldRows(schema, ""))}</div>
</details>`;
}

const fields = z.looseObject({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});

/** One row for each field, those of objects inside it under dotted names. */
function fieldRows(schema: JsonSchema, prefix: string): Html[][] {
  const { properties, required } = fields.parse(schema);
  return Object.entries(properties).flatMap(([name, field]) => [
    [
      html`<code>${prefix}${name}</code>`,
      html`${linked(field)}${required.includes(name) ? "" : html` <span class="quiet">optional</span>`}`,
    ],
    ...(field.properties === undefined ? [] : fieldRows(field, `${prefix}${name}.`)),
  ]);
}

function parameterRow({ name, in: place, required, description, schema }: Parameter): Html[] {
  return [
    html`<code>${name}</code>`,
    html`${place}${required ? "" : ", optional"}`,
    html`${description ?? schemaText(schema)}`,
  ];
}

function table(rows: readonly (readonly Html[])[]): Html {
  return html`<div class="wide"><table>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</table></div>`;
}

/** A schema in short; a component as a link to it. */
function linked(schema: JsonSchema | undefined): Html {
  const reference = typeof schema?.$ref === "string" ? componentName(schema.$ref) : null;
  if (reference !== null) return html`<a href="#${reference}"><code>${reference}</code></a>`;
  return html`${schemaText(schema)}`;
}

function accessText({ security }: Operation): string {
  const schemes = new Set(security.flatMap((one) => Object.keys(one)));
  if (schemes.has("signature")) return "For who has an address that the container signed.";
  if (!schemes.has("key")) return "Open to anyone.";
  const loopback = security.some((one) => Object.keys(one).length === 0);
  return `Needs a key, sent as a bearer token${loopback ? "; programs on this machine need none" : ""}.`;
}

function bodyText({ content }: NonNullable<Operation["requestBody"]>): Html {
  const json = content["application/json"];
  return json === undefined ? html`The file itself.` : html`${linked(json.schema)}`;
}

function curl(method: string, path: string, { security, requestBody }: Operation, server: string): string {
  const needsKey = security.some((one) => "key" in one);
  const [example] = Object.values(requestBody?.content["application/json"]?.examples ?? {});
  const body = example?.value;
  return [
    `curl -s${method === "GET" ? "" : ` -X ${method}`} '${server}${path}'`,
    ...(needsKey ? [`-H "Authorization: Bearer $KEY"`] : []),
    ...(requestBody?.content[fileType] === undefined ? [] : ["--data-binary @file"]),
    ...(body === undefined ? [] : [`-H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))}`]),
  ].join(" \\\n  ");
}

/** One word for a shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
