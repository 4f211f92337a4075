import { fileURLToPath } from "node:url";

/** Handlers of three workers that call each other: wan → middle → chat. */
export const callHandlers = fileURLToPath(new URL("./handlers", import.meta.url));
