// The job type that ships with the project, with its model, for tests of the console.
export { default } from "../../../handlers/sdxl_image_high.ts";
