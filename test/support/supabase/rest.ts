import { z } from "zod";
import type { Query, Row } from "./database.ts";

/*
 * The part of PostgREST that is used here: functions called by `rpc`, and tables read with a few filters. Statuses and
 * error bodies follow docs.postgrest.org (references/errors, references/api/functions).
 */
export interface RestAnswer {
  readonly status: number;
  readonly body: unknown;
}

export class RestError extends Error {
  readonly answer: RestAnswer;

  constructor(status: number, code: string, message: string, hint: string | null = null) {
    super(message);
    this.answer = { status, body: { code, message, details: null, hint } };
  }
}

const functionArgs = z.array(z.object({ name: z.string(), type: z.string(), hasDefault: z.boolean() }));

interface RestFunction {
  readonly returnsSet: boolean;
  readonly returnsNothing: boolean;
  readonly args: z.output<typeof functionArgs>;
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Calls a function of the schema `public` with named arguments. */
export async function callFunction(query: Query, name: string, given: Row): Promise<RestAnswer> {
  const found = (await functionsNamed(query, name)).find((each) => takes(each, Object.keys(given)));
  if (found === undefined) {
    const names = Object.keys(given).toSorted().join(", ");
    throw new RestError(404, "PGRST202", `Could not find the function public.${name}(${names}) in the schema cache`);
  }
  const args = found.args.filter((each) => Object.hasOwn(given, each.name));
  const columns = args.map((each) => `${quoted(each.name)} ${each.type}`).join(", ");
  const passed = args.map((each) => `${quoted(each.name)} := args.${quoted(each.name)}`).join(", ");
  const from = columns === "" ? "(select 1) as args" : `jsonb_to_record($1::jsonb) as args(${columns})`;
  const values = columns === "" ? [] : [JSON.stringify(given)];
  const call = `public.${quoted(name)}(${passed})`;
  if (found.returnsNothing) {
    await query(`select ${call} from ${from}`, values);
    return { status: 204, body: undefined };
  }
  const answer = found.returnsSet
    ? `select coalesce(json_agg(result), '[]')::text as body from ${from}, lateral ${call} as result`
    : `select to_json(${call})::text as body from ${from}`;
  const [row] = await query(answer, values);
  return { status: 200, body: typeof row?.body === "string" ? JSON.parse(row.body) : null };
}

function takes({ args }: RestFunction, given: readonly string[]): boolean {
  const known = new Set(args.map(({ name }) => name));
  return (
    given.every((name) => known.has(name)) && args.every(({ name, hasDefault }) => hasDefault || given.includes(name))
  );
}

async function functionsNamed(query: Query, name: string): Promise<RestFunction[]> {
  const rows = await query(
    `select proretset as returns_set, prorettype = 'void'::regtype as returns_nothing, (
        select coalesce(json_agg(json_build_object(
                 'name', proargnames[place], 'type', format_type(proargtypes[place - 1], null),
                 'hasDefault', place > pronargs - pronargdefaults) order by place), '[]')::text
          from generate_series(1, pronargs) as place) as args
       from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f' and proname = $1`,
    [name],
  );
  return rows.map((row) => ({
    returnsSet: row.returns_set === true,
    returnsNothing: row.returns_nothing === true,
    args: functionArgs.parse(JSON.parse(String(row.args))),
  }));
}

const operators: Readonly<Record<string, string>> = {
  eq: "=",
  neq: "<>",
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
  like: "like",
  ilike: "ilike",
};

/** Reads a table: `select`, `order`, `limit`, `offset` and filters on columns. */
export async function readTable(query: Query, table: string, parameters: URLSearchParams): Promise<unknown[]> {
  const values: unknown[] = [];
  const place = (value: unknown) => `$${values.push(value)}`;
  const selected = (parameters.get("select") ?? "*")
    .split(",")
    .map((column) => (column.trim() === "*" ? "*" : quoted(column.trim())))
    .join(", ");
  const conditions = [...parameters]
    .filter(([name]) => !["select", "order", "limit", "offset"].includes(name))
    .map(([column, filter]) => condition(column, filter, place));
  const where = conditions.length === 0 ? "" : `where ${conditions.join(" and ")}`;
  const limit = parameters.has("limit") ? `limit ${place(Number(parameters.get("limit")))}` : "";
  const offset = parameters.has("offset") ? `offset ${place(Number(parameters.get("offset")))}` : "";
  const inner = `select ${selected} from public.${quoted(table)} ${where} ${orderOf(parameters)} ${limit} ${offset}`;
  const [row] = await query(`select coalesce(json_agg(result), '[]')::text as body from (${inner}) as result`, values);
  const body: unknown = JSON.parse(String(row?.body));
  return Array.isArray(body) ? body : [];
}

function condition(column: string, filter: string, place: (value: unknown) => string): string {
  const negated = filter.startsWith("not.");
  const [operator = "", ...rest] = (negated ? filter.slice(4) : filter).split(".");
  const value = rest.join(".");
  const test = comparison(quoted(column), operator, value, place);
  return negated ? `not (${test})` : test;
}

function comparison(column: string, operator: string, value: string, place: (value: unknown) => string): string {
  if (operator === "in") {
    const list = value
      .replace(/^\(|\)$/g, "")
      .split(",")
      .map((each) => each.replace(/^"|"$/g, ""));
    return `${column}::text = any (${place(list)}::text[])`;
  }
  if (operator === "is") {
    if (!["null", "true", "false"].includes(value)) throw new RestError(400, "PGRST100", `"is.${value}" is not known`);
    return `${column} is ${value}`;
  }
  const sign = operators[operator];
  if (sign === undefined) throw new RestError(400, "PGRST100", `the operator "${operator}" is not known`);
  return `${column} ${sign} ${place(value)}`;
}

function orderOf(parameters: URLSearchParams): string {
  const order = parameters.get("order");
  if (order === null) return "";
  const terms = order.split(",").map((term) => {
    const [column = "", ...words] = term.split(".");
    const nulls = words.includes("nullsfirst") ? " nulls first" : words.includes("nullslast") ? " nulls last" : "";
    return `${quoted(column)}${words.includes("desc") ? " desc" : ""}${nulls}`;
  });
  return `order by ${terms.join(", ")}`;
}

/** A failed query as PostgREST answers it. */
export function answerTo(error: unknown, isSignedIn: boolean): RestAnswer {
  if (error instanceof RestError) return error.answer;
  const { code, message, detail, hint } = sqlError(error);
  if (code === undefined) {
    const lost = { code: "PGRST001", message: "Database connection error. Retrying the connection.", hint: null };
    return { status: 503, body: { ...lost, details: message } };
  }
  return { status: statusOf(code, isSignedIn), body: { code, message, details: detail ?? null, hint: hint ?? null } };
}

function statusOf(code: string, isSignedIn: boolean): number {
  const own = /^PT([1-5]\d\d)$/.exec(code)?.[1];
  if (own !== undefined) return Number(own);
  if (code === "42501") return isSignedIn ? 403 : 401;
  if (code === "42P01" || code === "42883") return 404;
  if (code === "23503" || code === "23505") return 409;
  if (code === "25006") return 405;
  if (code === "53400") return 500;
  if (code === "57P01" || code.startsWith("08")) return 503;
  const classes: Readonly<Record<string, number>> = {
    "09": 500,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    F0: 500,
    HV: 500,
    XX: 500,
  };
  return classes[code.slice(0, 2)] ?? 400;
}

interface SqlError {
  readonly code?: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** An error of PostgreSQL has a five-letter SQLSTATE; anything else is of the connection. */
function sqlError(error: unknown): SqlError {
  if (!(error instanceof Error)) return { message: String(error) };
  const text = (name: string): string | undefined => {
    const value: unknown = Reflect.get(error, name);
    return typeof value === "string" ? value : undefined;
  };
  const code = text("code");
  const [detail, hint] = [text("detail"), text("hint")];
  return {
    message: error.message,
    ...(code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? { code } : {}),
    ...(detail === undefined ? {} : { detail }),
    ...(hint === undefined ? {} : { hint }),
  };
}
