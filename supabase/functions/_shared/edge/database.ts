import { createClient, type PostgrestError } from "@supabase/supabase-js";
import type { z } from "zod";
import { CodedError, isErrorCode } from "../errors.ts";

/** The project's database over its REST API, with the rights of one key or one user. */
export interface Database {
  /**
   * Calls a function of the database.
   *
   * @throws CodedError the code that the function raised; DATABASE_UNREACHABLE; CONFIG_INVALID when key or schema are
   *   not those of this version
   */
  call<Schema extends z.ZodType>(name: string, args: object, answer: Schema): Promise<z.output<Schema>>;
  /** Rows of a table that the key or user may see. */
  rows<Schema extends z.ZodType>(query: RowQuery, row: Schema): Promise<z.output<Schema>[]>;
}

export interface RowQuery {
  /** Or a view: what the REST API shows. */
  readonly table: string;
  readonly columns: string;
  readonly where: { readonly column: string; readonly equals: string };
  readonly orderBy?: string;
  readonly limit: number;
}

const requestTimeoutMs = 15_000;

/** @param userToken whose rights decide; without one the key's own */
export function connectDatabase(url: string, key: string, userToken?: string): Database {
  const client = createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    ...(userToken === undefined ? {} : { global: { headers: { Authorization: `Bearer ${userToken}` } } }),
  });
  return {
    async call(name, args, answer) {
      const reply = await client.rpc(name, args).abortSignal(AbortSignal.timeout(requestTimeoutMs));
      if (reply.error !== null) throw toCodedError(reply.error, reply.status, name);
      return readAs(answer, reply.data, name);
    },
    async rows({ table, columns, where, orderBy, limit }, row) {
      const found = client.from(table).select(columns).eq(where.column, where.equals).limit(limit);
      const sorted = orderBy === undefined ? found : found.order(orderBy);
      const reply = await sorted.abortSignal(AbortSignal.timeout(requestTimeoutMs));
      if (reply.error !== null) throw toCodedError(reply.error, reply.status, table);
      return readAs(row.array(), reply.data, table);
    },
  };
}

function readAs<Schema extends z.ZodType>(schema: Schema, data: unknown, name: string): z.output<Schema> {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join(".") ?? "";
  const message = `The database answered ${name} in another form (${where}): push the migrations of this version.`;
  throw new CodedError("CONFIG_INVALID", message);
}

/** PostgREST's error codes: 42501 no right, PGRST202 and PGRST205 nothing of this name, PGRST0xx no connection. */
function toCodedError(error: PostgrestError, status: number, name: string): CodedError {
  if (isErrorCode(error.hint)) return new CodedError(error.hint, error.message, { details: detailsOf(error.details) });
  if (error.code === "PGRST202" || error.code === "PGRST205") {
    return new CodedError("CONFIG_INVALID", `The database has no ${name}: push the migrations (supabase db push).`);
  }
  if (status === 401 || status === 403 || error.code === "42501") {
    return new CodedError("CONFIG_INVALID", `The database refuses ${name} to this key: ${error.message}`);
  }
  const isAway = status === 0 || status === 429 || status >= 502 || /^PGRST00\d$/.test(error.code);
  if (isAway) return new CodedError("DATABASE_UNREACHABLE", "The project's database cannot be reached: try again.");
  return new CodedError("INTERNAL", `The database failed ${name} with ${error.code}: ${error.message}`);
}

/** Our functions raise details as JSON; PostgREST has them as a text. */
function detailsOf(text: string | null): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
