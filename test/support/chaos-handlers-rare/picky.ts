export { default } from "../chaos-handlers/picky.ts";
