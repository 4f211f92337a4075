export { default } from "../../../handlers/sdxl_image_high.ts";
