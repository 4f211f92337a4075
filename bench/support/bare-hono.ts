import type { AddressInfo } from "node:net";
import process from "node:process";
import { serve } from "@hono/node-server";
import { Hono } from "hono";

/**
 * One route of Hono and nothing else, in a process of its own, until its standard input ends. With the argument "native"
 * it answers with Node's own Response, as the container does; else the server replaces that by a lighter one.
 */
const overrideGlobalObjects = process.argv[2] !== "native";
const app = new Hono().get("/health", (context) => context.json({ status: "healthy" }));
const server = serve(
  { fetch: app.fetch, port: 0, hostname: "127.0.0.1", overrideGlobalObjects },
  ({ port }: AddressInfo) => process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`),
);
process.stdin.resume().once("end", () => {
  server.close();
  process.exit();
});
