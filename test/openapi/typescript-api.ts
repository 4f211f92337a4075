import { ts } from "@ts-morph/common";

/*
 * The compiler's programming interface, which TypeScript 7 has no more, for openapi-typescript. The package ts-morph has the
 * last one that had it inside, without a second `tsc` in the project.
 */
export default ts;
