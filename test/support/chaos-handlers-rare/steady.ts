export { default } from "../chaos-handlers/steady.ts";
