import { createUpload } from "./create-upload.ts";

Deno.serve(createUpload.serve(Deno.env.toObject()));
