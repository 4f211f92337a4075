import process from "node:process";
import { bold, coloured, oneLine } from "./output.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  /** Coloured by its value on a terminal. */
  readonly status?: true;
  /** Left out on a terminal that has no room for all, the lowest number first. */
  readonly leavesAt?: number;
  /** In the last column: never cut, whatever the terminal's width. */
  readonly whole?: true;
}

/** The part of a stream that says how much it shows. */
type Terminal = { readonly isTTY?: boolean; readonly columns?: number };

const gap = "  ";
/** A last column that can be left out is of use from here. */
const minLastWidth = 16;

/**
 * Rows under titles. On a terminal: aligned, the last column cut at the right edge. Otherwise: separated by tabs and
 * never cut, for `cut`, `awk` and the like.
 */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  stream: Terminal = process.stdout,
): string {
  const titles = columns.map((column) => column.title);
  const cells = rows.map((row) => columns.map((column) => oneLine(column.value(row))));
  if (!stream.isTTY) return [titles, ...cells].map((line) => line.join("\t")).join("\n");
  const widths = titles.map((title, index) => Math.max(title.length, ...cells.map((line) => line[index]?.length ?? 0)));
  const leaving = columnToLeave(columns, widths, stream.columns ?? 80);
  if (leaving !== undefined)
    return table(
      rows,
      columns.filter((column) => column !== leaving),
      stream,
    );
  const draw = (line: readonly string[], paint: (text: string, index: number) => string) =>
    cut(line, widths, columns.at(-1)?.whole ? Number.POSITIVE_INFINITY : (stream.columns ?? 80))
      .map(paint)
      .join(gap)
      .trimEnd();
  return [
    draw(titles, (text) => bold(text)),
    ...cells.map((line) => draw(line, (text, index) => (columns[index]?.status ? coloured(text) : text))),
  ].join("\n");
}

/** The first column to do without where the others leave the last one less than it needs; undefined where all have room. */
function columnToLeave<Row>(columns: readonly Column<Row>[], widths: readonly number[], terminalWidth: number) {
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + gap.length, 0);
  const last =
    columns.at(-1)?.leavesAt === undefined ? (widths.at(-1) ?? 0) : Math.min(widths.at(-1) ?? 0, minLastWidth);
  if (before + last <= terminalWidth) return undefined;
  return columns
    .filter(({ leavesAt }) => leavesAt !== undefined)
    .toSorted((left, right) => (left.leavesAt ?? 0) - (right.leavesAt ?? 0))[0];
}

/** The cells padded to their columns' widths; the last one is cut to what the terminal has left. */
function cut(line: readonly string[], widths: readonly number[], terminalWidth: number): string[] {
  const last = line.length - 1;
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + gap.length, 0);
  const room = Math.max(8, terminalWidth - before);
  return line.map((cell, index) => {
    if (index < last) return cell.padEnd(widths[index] ?? 0);
    return cell.length <= room ? cell : `${cell.slice(0, room - 1)}…`;
  });
}
