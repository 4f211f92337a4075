/*
 * undici's entry loads its fetch, web sockets and caches too: three times the time of the parts that a container uses,
 * at every start. These are the files of those parts, which the package does not give types of their own.
 */
declare module "undici/lib/dispatcher/pool.js" {
  export { Pool as default } from "undici";
}

declare module "undici/lib/dispatcher/client.js" {
  export { Client as default } from "undici";
}
