import process from "node:process";
import { bold, coloured, oneLine } from "./output.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  /** Coloured by its value on a terminal. */
  readonly status?: true;
  /** In the last column: never cut, whatever the terminal's width. */
  readonly whole?: true;
}

const gap = "  ";

/**
 * Rows under titles. On a terminal: aligned, the last column cut at the right edge. Otherwise: separated by tabs and
 * never cut, for `cut`, `awk` and the like.
 */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], stream = process.stdout): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.value(row))));
  const titles = columns.map((column) => column.title);
  if (!stream.isTTY) return [titles, ...cells].map((line) => line.join("\t")).join("\n");
  const widths = titles.map((title, index) => Math.max(title.length, ...cells.map((line) => line[index]?.length ?? 0)));
  const draw = (line: readonly string[], paint: (text: string, index: number) => string) =>
    cut(line, widths, columns.at(-1)?.whole ? Number.POSITIVE_INFINITY : stream.columns)
      .map(paint)
      .join(gap)
      .trimEnd();
  return [
    draw(titles, (text) => bold(text)),
    ...cells.map((line) => draw(line, (text, index) => (columns[index]?.status ? coloured(text) : text))),
  ].join("\n");
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
