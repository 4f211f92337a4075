import { STATUS_CODES } from "node:http";
import { z } from "zod";
import type { Runtime } from "#runtime/container/runtime.ts";
import { workerVersion } from "#runtime/container/version.ts";
import { noContent } from "../api/declare.ts";
import { errorBody } from "../api/schemas/errors.ts";
import { eventStreamType } from "../http/event-stream.ts";
import type { Route } from "../http/route.ts";
import { type JsonSchema, jobSchema } from "../jobs/job-schema.ts";
import { documentedErrors } from "./documented-errors.ts";
import { exampleOf } from "./example.ts";
import { Components } from "./json-schema.ts";

/*
 * The API's description (OpenAPI 3.1), made from what the routes are made from: their schemas, their access, their
 * errors, and the schemas of this container's job types.
 */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: JsonSchema;
  readonly servers: readonly JsonSchema[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  /** By path, then by method in small letters. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, JsonSchema>>;
  };
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly JsonSchema[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly description?: string;
  readonly required?: boolean;
  readonly schema: JsonSchema;
}

/** By media type. */
export type Content = Readonly<Record<string, { readonly schema: JsonSchema; readonly examples?: Examples }>>;

/** By name; of a job, by its type. */
export type Examples = Readonly<Record<string, { readonly value: unknown }>>;

/** Of a body that is a file. */
export const fileType = "application/octet-stream";

const info = {
  title: "OurVidz Worker",
  version: workerVersion,
  description: "The HTTP functions of one container: jobs, queues, workers.",
  license: { name: "MIT", identifier: "MIT" },
};

const tags = [
  { name: "jobs", description: "Hand in jobs, follow them, cancel them." },
  { name: "inputs", description: "Files for jobs, uploaded." },
  { name: "queues", description: "What waits, and what failed for good." },
  { name: "worker", description: "This container: its state, and what an operator does to it." },
  { name: "container", description: "Whether it lives, what it counts, and what it has made." },
];

export function describeApi(
  routes: readonly Route[],
  { registry }: Pick<Runtime, "registry">,
  server: string,
): OpenApiDocument {
  const components = new Components();
  const error = components.convert(errorBody, "output");
  const jobTypes = registry.all().map((handler) => components.add(`job.${handler.type}`, jobSchema(handler)));
  const jobExamples = Object.fromEntries(
    registry.all().map((handler) => [handler.type, { value: exampleOf(jobSchema(handler)) }]),
  );
  // A component, as generators name parameters by it.
  const job = components.add("NewJob", { description: "A job to hand in, of one of the types.", oneOf: jobTypes });
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    const path = templateOf(route.path);
    paths[path] = {
      ...paths[path],
      [route.method.toLowerCase()]: describeRoute(route, components, { error, job, jobExamples }),
    };
  }
  return {
    openapi: "3.1.1",
    info,
    servers: [{ url: server.replace(/\/$/, "") }],
    tags,
    paths,
    components: { schemas: components.all(), securitySchemes },
  };
}

const securitySchemes = {
  key: { type: "http", scheme: "bearer", description: "One of the keys in WAN_WORKER_API_KEY." },
  signature: {
    type: "apiKey",
    in: "query",
    name: "signature",
    description: "Part of the addresses that the container signs for an hour; they come with a job's assets.",
  },
};

const securityOf: Readonly<Record<Route["access"], readonly JsonSchema[]>> = {
  open: [],
  key: [{ key: [] }],
  page: [{ key: [] }],
  signed: [{ signature: [] }],
};

const restOfPath: Parameter = { name: "path", in: "path", required: true, schema: { type: "string" } };

function describeHeader([name, schema]: readonly [string, z.ZodString]): Parameter {
  const { $schema, description, ...rest } = z.toJSONSchema(schema);
  return { name, in: "header", ...(description === undefined ? {} : { description }), schema: rest };
}

interface Shared {
  readonly error: JsonSchema;
  readonly job: JsonSchema;
  readonly jobExamples: Examples;
}

function describeRoute(route: Route, components: Components, shared: Shared): Operation {
  const parameters: Parameter[] = [
    ...describeFields(route.params, "path", components),
    ...(route.path.endsWith("/*") ? [restOfPath] : []),
    ...describeFields(route.query, "query", components).filter(({ name }) => name !== securitySchemes.signature.name),
    ...Object.entries(route.headers ?? {}).map(describeHeader),
  ];
  const body = describeBody(route, components, shared);
  const error = route.errorForm === undefined ? shared.error : components.convert(route.errorForm.schema, "output");
  return {
    operationId: operationId(route),
    tags: [tagOf(route)],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    security: securityOf[route.access],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: body } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.responses).map(([status, schema]) => [
          status,
          describeAnswer(route, status, schema, components),
        ]),
      ),
      ...Object.fromEntries(
        [...documentedErrors(route)].map(([status, codes]) => [
          status,
          { description: codes.join(", "), content: { "application/json": { schema: error } } },
        ]),
      ),
    },
  };
}

function describeBody(route: Route, components: Components, shared: Shared): Content | undefined {
  // A schema of bytes has nothing to say (OpenAPI 3.1, 4.8.14.3).
  if (route.takesFile) return { [fileType]: { schema: {} } };
  if (route.takesJob) return { "application/json": { schema: shared.job, examples: shared.jobExamples } };
  if (route.body === undefined) return undefined;
  const value = exampleOf(z.toJSONSchema(route.body, { io: "input" }));
  return { "application/json": { schema: components.convert(route.body, "input"), examples: { body: { value } } } };
}

function describeAnswer(
  route: Route,
  status: string,
  schema: z.ZodType,
  components: Components,
): Operation["responses"][string] {
  const description = STATUS_CODES[status] ?? status;
  if (schema === noContent) return { description };
  if (route.produces === undefined)
    return { description, content: { "application/json": { schema: components.convert(schema, "output") } } };
  const isStream = route.produces === eventStreamType;
  const content = isStream ? eventSchema(components.convert(schema, "output")) : { type: "string" };
  return { description, content: { [route.produces]: { schema: content } } };
}

/** One event of a stream: its fields are lines of text, and its data is JSON. */
function eventSchema(data: JsonSchema): JsonSchema {
  const contentSchema = { contentMediaType: "application/json", contentSchema: data };
  return {
    type: "object",
    properties: { id: { type: "string" }, event: { type: "string" }, data: { type: "string", ...contentSchema } },
    required: ["event", "data"],
  };
}

const objectSchema = z.object({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});

function describeFields(schema: z.ZodType | undefined, place: "path" | "query", components: Components): Parameter[] {
  if (schema === undefined) return [];
  const { properties, required } = objectSchema.parse(components.convert(schema, "input"));
  return Object.entries(properties).map(([name, field]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema: field,
  }));
}

/** `/jobs/:id` and `/files/*` as OpenAPI writes them. */
function templateOf(path: string): string {
  return path.replaceAll(/:(\w+)/g, "{$1}").replace(/\*$/, "{path}");
}

/** `GET /jobs/:id/events` becomes `getJobsIdEvents`. */
function operationId({ method, path }: Route): string {
  const words = path.split(/[^a-z]+/i).filter((word) => word !== "");
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

function tagOf({ path }: Route): string {
  if (path === "/generate" || path.startsWith("/jobs")) return "jobs";
  if (path.startsWith("/inputs")) return "inputs";
  if (path.startsWith("/queues")) return "queues";
  return path.startsWith("/worker") ? "worker" : "container";
}
