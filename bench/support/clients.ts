import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/*
 * Clients that do no good, in a process of their own: what they cost here must not be taken for what they cost the container.
 *
 *   node bench/support/clients.ts half-open <port> <count>          keeps so many half requests open, whatever ends them
 *   node bench/support/clients.ts readers <port> <count> <job id>   reads the events of one job so many times
 */
const [mode, port, count, jobId] = process.argv.slice(2);
const host = "127.0.0.1";
const halves = [
  `GET /health HTTP/1.1\r\nHost: ${host}\r\nX-Slow: `,
  `POST /jobs HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{"type":`,
  "",
];

/** Holds one place: a connection that is ended is opened again a second later. */
async function holdHalfOpen(number: number): Promise<never> {
  for (;;) {
    const socket = connect({ port: Number(port), host, allowHalfOpen: true });
    socket.on("error", () => undefined).resume();
    socket.write(halves[number % halves.length] ?? "");
    await new Promise((resolve) => socket.once("close", resolve));
    await pause(1000);
  }
}

let received = 0;
function read(socket: Socket): void {
  socket
    .on("error", () => undefined)
    .on("data", (chunk) => {
      received += chunk.length;
    });
  socket.write(`GET /jobs/${jobId}/events HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
}

for (let number = 0; number < Number(count); number++) {
  if (mode === "half-open") void holdHalfOpen(number);
  else read(connect({ port: Number(port), host }));
  if (number % 100 === 99) await pause(10);
}
process.send?.("open");
process.on("message", () => process.send?.(received));
