import process from "node:process";

/*
 * Loaded before a container: at SIGUSR2 something breaks that the dispatcher's loop cannot foresee.
 */
process.on("SIGUSR2", () => {
  AbortSignal.any = () => {
    throw new Error("signals cannot be joined");
  };
});
