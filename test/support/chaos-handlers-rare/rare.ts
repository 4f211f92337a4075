import { defineHandler } from "#contract/handler.ts";
import patient from "../chaos-handlers/patient.ts";

/** As patient, of a type that only one of the containers has a handler for. */
export default defineHandler({ ...patient, type: "rare" });
