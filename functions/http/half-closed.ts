import type { IncomingMessage, ServerResponse } from "node:http";

/** The first answer of a system that refuses is seen at the second try; later ones are for slow networks. */
const triesAfterMs = [300, 2000];
const laterTriesMs = 10_000;

/**
 * A client that has sent all that it will may close its half of the connection and wait; one that is gone looks the same. An
 * interim answer tells them apart: the system of one that is gone refuses it, and the connection breaks at the next.
 */
export function probeHalfClosed(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { socket, httpVersion } = incoming;
  let timer: NodeJS.Timeout | undefined;
  let tries = 0;
  const probe = () => {
    if (outgoing.headersSent || outgoing.destroyed) return;
    // What speaks an older version knows no interim answers.
    if (httpVersion !== "1.1") return void socket.destroy();
    outgoing.writeProcessing();
    timer = setTimeout(probe, triesAfterMs[tries++] ?? laterTriesMs);
  };
  socket.once("end", probe);
  outgoing.once("close", () => {
    clearTimeout(timer);
    socket.off("end", probe);
  });
}
