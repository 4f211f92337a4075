export { default } from "../../../handlers/sdxl_generate.ts";
