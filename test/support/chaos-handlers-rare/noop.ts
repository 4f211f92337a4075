export { default } from "../chaos-handlers/noop.ts";
