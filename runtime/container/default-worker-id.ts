import { hostname } from "node:os";
import process from "node:process";

/** What a container is called that nobody has named: two on one machine are two. */
export function defaultWorkerId(): string {
  return `${hostname().replaceAll(/[^A-Za-z0-9_.-]/g, "-")}-${process.pid}`;
}
