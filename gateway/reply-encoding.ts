import type { IncomingHttpHeaders } from "node:http";
import { ErrorReply } from "redis";
import type { Reply } from "./reply.ts";
import { RestError } from "./rest-error.ts";

/** How results are written: as JSON, as JSON whose strings are base64, or as the bytes that Redis itself would send. */
export type Encoding = "json" | "base64" | "resp2";

export const contentTypes: Readonly<Record<Encoding, string>> = {
  json: "application/json",
  base64: "application/json",
  resp2: "application/octet-stream",
};

/**
 * The encoding that `Upstash-Encoding` and `Upstash-Response-Format` ask for.
 *
 * @throws RestError 400 for other values, and for base64 inside RESP2
 */
export function readEncoding(headers: IncomingHttpHeaders): Encoding {
  const encoding = headers["upstash-encoding"] ?? "";
  const format = headers["upstash-response-format"] ?? "json";
  if (encoding !== "" && encoding !== "base64") throw new RestError(400, "ERR Upstash-Encoding must be base64");
  if (format !== "json" && format !== "resp2") {
    throw new RestError(400, "ERR Upstash-Response-Format must be json or resp2");
  }
  if (format === "json") return encoding === "base64" ? "base64" : "json";
  if (encoding === "base64") throw new RestError(400, "ERR Upstash-Encoding is not for the resp2 format");
  return "resp2";
}

/** The replies of a pipeline or a transaction as one JSON array. */
export function encodeResults(replies: readonly Reply[], encoding: Exclude<Encoding, "resp2">): string {
  return `[${replies.map((reply) => encodeResult(reply, encoding)).join(",")}]`;
}

/** `{"result":…}` or `{"error":…}`. */
export function encodeResult(reply: Reply, encoding: Exclude<Encoding, "resp2">): string {
  if (reply instanceof ErrorReply) return encodeError(reply.message);
  // The status OK alone is never base64, and only as a whole result: clients decode every string inside an array.
  if (reply === "OK") return '{"result":"OK"}';
  return `{"result":${encodeReply(reply, encoding === "base64")}}`;
}

export function encodeError(message: string): string {
  return `{"error":${JSON.stringify(message)}}`;
}

function encodeReply(reply: Reply, base64: boolean): string {
  if (reply === null) return "null";
  if (Array.isArray(reply)) return `[${reply.map((element) => encodeReply(element, base64)).join(",")}]`;
  if (reply instanceof ErrorReply) return encodeError(reply.message);
  if (typeof reply !== "string") return base64 ? `"${reply.toString("base64")}"` : JSON.stringify(reply.toString());
  if (isInteger(reply)) return reply;
  return base64 ? `"${Buffer.from(reply).toString("base64")}"` : JSON.stringify(reply);
}

/** Replies in the form in which Redis sends them (RESP2), one after the other. */
export function encodeResp2(replies: readonly Reply[]): Buffer {
  const parts: Buffer[] = [];
  for (const reply of replies) addResp2(reply, parts);
  return Buffer.concat(parts);
}

function addResp2(reply: Reply, parts: Buffer[]): void {
  if (reply === null) parts.push(Buffer.from("$-1\r\n"));
  else if (reply instanceof ErrorReply) parts.push(Buffer.from(`-${reply.message}\r\n`));
  else if (typeof reply === "string") parts.push(Buffer.from(`${isInteger(reply) ? ":" : "+"}${reply}\r\n`));
  else if (Buffer.isBuffer(reply)) parts.push(Buffer.from(`$${reply.length}\r\n`), reply, Buffer.from("\r\n"));
  else {
    parts.push(Buffer.from(`*${reply.length}\r\n`));
    for (const element of reply) addResp2(element, parts);
  }
}

/** Integers arrive as text, like statuses (see `Reply`); no status of Redis is a number. */
function isInteger(text: string): boolean {
  return /^-?\d+$/.test(text);
}
