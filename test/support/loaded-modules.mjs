import { appendFileSync } from "node:fs";
import { registerHooks } from "node:module";
import process from "node:process";

/* For `node --import`: writes the address of every package that the process loads into the file LOADED_MODULES. */
registerHooks({
  load(url, context, next) {
    if (url.includes("/node_modules/")) appendFileSync(process.env.LOADED_MODULES, `${url}\n`);
    return next(url, context);
  },
});
