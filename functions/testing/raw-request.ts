import { once } from "node:events";
import { connect } from "node:net";

/** Sends these very bytes, which no HTTP client would, and returns all that comes back until the connection ends. */
export async function sendRaw(port: number, text: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  // A server that refuses may also cut the connection while the rest is still being sent.
  socket.on("error", () => undefined);
  socket.write(text);
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

/** A GET request whose path is sent as it stands. */
export function rawGet(port: number, target: string, headers = ""): Promise<string> {
  return sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${headers}Connection: close\r\n\r\n`);
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}
