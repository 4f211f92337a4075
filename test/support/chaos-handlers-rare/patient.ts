export { default } from "../chaos-handlers/patient.ts";
