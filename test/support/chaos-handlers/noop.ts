/** Three attempts: jobs of this type are those that are made to fail. */
export { default } from "../handlers/noop.ts";
