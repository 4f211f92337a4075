import process from "node:process";

/*
 * Node's HTTP modules for whoever sends requests. `import … from "node:http"` reads every export of the module; one of them
 * (WebSocket) makes Node load its own fetch client and half of its other modules for it: 30 to 50 ms of processor time, which
 * a container's way to its first job does without.
 */
export const http = process.getBuiltinModule("node:http");
export const https = process.getBuiltinModule("node:https");
