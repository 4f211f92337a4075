import { once } from "node:events";
import { connect, createServer } from "node:net";
import process from "node:process";

/*
 * A line of limited speed in front of a server, in a process of its own: what goes to the server is let through at so many
 * bytes a second, what comes back at once. Prints its port; ends with its standard input.
 *
 *   node slow-line.ts <port of the server> <bytes a second>
 */
const [port, bytesPerSecond] = process.argv.slice(2).map(Number);
if (!port || !bytesPerSecond) throw new Error("usage: slow-line.ts <port> <bytes a second>");

/** All connections share the line. */
let freeAtMs = 0;
/** Below this a timer is not worth its own inaccuracy. */
const shortestPauseMs = 4;

const server = createServer({ noDelay: true }, (near) => {
  const far = connect({ port, host: "127.0.0.1", noDelay: true });
  far.pipe(near);
  near.on("data", (bytes) => {
    far.write(bytes);
    const nowMs = performance.now();
    freeAtMs = Math.max(nowMs, freeAtMs) + (bytes.length / bytesPerSecond) * 1000;
    const waitMs = freeAtMs - nowMs;
    if (waitMs < shortestPauseMs) return;
    near.pause();
    setTimeout(() => near.resume(), waitMs);
  });
  near.on("end", () => far.end());
  near.on("error", () => far.destroy());
  far.on("error", () => near.destroy());
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = server.address();
process.stdout.write(`${JSON.stringify({ port: typeof address === "object" ? address?.port : 0 })}\n`);
await once(process.stdin.resume(), "end");
process.exit(0);
