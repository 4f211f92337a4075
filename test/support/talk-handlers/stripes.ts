// A job type that makes pictures, with a prompt.
export { default } from "../console-handlers/stripes.ts";
