import { defineHandler } from "#contract/handler.ts";
import steady from "../chaos-handlers/steady.ts";

/** As steady, of a type that only one of the containers has a handler for. */
export default defineHandler({ ...steady, type: "rare" });
