/*
 * Since 1.30 ONNX Runtime for Linux sends usage data to its makers, and leaves a file for each process in the folder for
 * temporary files, unless this variable is set before it is loaded. Imported before it; who sets the variable goes first.
 */
// biome-ignore lint/style/noProcessEnv: it is how ONNX Runtime is told, and it reads no setting of ours
process.env.ORT_DISABLE_TELEMETRY ??= "1";
