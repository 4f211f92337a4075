import type { SQLInputValue, StatementSync } from "node:sqlite";
import { z } from "zod";

/** Values of a statement's named parameters, without the colon. A name that the statement does not have is an error. */
export type Parameters = Readonly<Record<string, SQLInputValue>>;

/** A statement that returns rows; each row is checked against its schema, so that types are true and not asserted. */
export class Query<Row> {
  readonly #statement: StatementSync;
  readonly #row: z.ZodType<Row>;

  constructor(statement: StatementSync, row: z.ZodType<Row>) {
    this.#statement = statement;
    this.#row = row;
  }

  get(parameters: Parameters = {}): Row | undefined {
    const row = this.#statement.get(parameters);
    return row === undefined ? undefined : this.#row.parse(row);
  }

  all(parameters: Parameters = {}): Row[] {
    return this.#statement.all(parameters).map((row) => this.#row.parse(row));
  }
}

/** A statement that only changes rows. */
export class Command {
  readonly #statement: StatementSync;

  constructor(statement: StatementSync) {
    this.#statement = statement;
  }

  /** Returns how many rows changed. */
  run(parameters: Parameters = {}): number {
    return Number(this.#statement.run(parameters).changes);
  }
}

/** A TEXT column that holds JSON of the given shape. */
export function jsonColumn<Schema extends z.ZodType>(schema: Schema) {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: "custom", message: "must be JSON" });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

/** SQLite has no booleans: 0 or 1. */
export const flagColumn = z
  .number()
  .min(0)
  .max(1)
  .transform((value) => value === 1);
