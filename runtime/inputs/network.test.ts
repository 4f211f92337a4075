import { once } from "node:events";
import { createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { systemNetwork } from "./network.ts";

it("resolves a name to all its addresses", async () => {
  expect(await systemNetwork.resolve("localhost")).toEqual(
    expect.arrayContaining([expect.stringMatching(/^(127\.0\.0\.1|::1)$/)]),
  );
});

it("connects to whichever of the addresses answers, and to no other", async () => {
  const server = createServer();
  onTestFinished(() => void server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  for (const addresses of [["127.0.0.1"], ["127.0.0.9", "127.0.0.1"], ["::1", "127.0.0.1"]]) {
    const socket = systemNetwork.connect(addresses, port);
    await once(socket, "connect");
    expect(socket.remoteAddress).toBe("127.0.0.1");
    socket.destroy();
  }
  const refused = systemNetwork.connect(["127.0.0.9"], port);
  await expect(once(refused, "connect")).rejects.toThrow("ECONNREFUSED");
});
