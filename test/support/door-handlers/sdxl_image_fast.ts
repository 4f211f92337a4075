export { default } from "../../../handlers/sdxl_image_fast.ts";
