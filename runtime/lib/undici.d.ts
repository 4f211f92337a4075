/*
 * undici's entry loads its fetch, web sockets and caches too: three times the time of the one part that a container needs
 * before it can take its first job. The package gives that part no types of its own.
 */
declare module "undici/lib/dispatcher/pool.js" {
  export { Pool as default } from "undici";
}
